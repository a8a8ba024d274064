"""The stories that the task `wordproblems` tells sums and differences in."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Domain:
    """One kind of story. Every template may use {who}, {other}, {thing} and, but for `ask`, the number {n}."""

    things: tuple[str, ...]
    start: tuple[str, ...]
    gain: tuple[str, ...]
    loss: tuple[str, ...]
    ask: tuple[str, ...]
    compares: bool = False
    """Each step speaks of a new person compared with the one before, instead of a change to one amount.

    Always of the new one: a model as small as pebble does not learn that "A is older than B" also tells B's age (after
    7,000 steps of pretraining it was right on 22 of 40 such single steps, and on all 360 of the other stories).
    """


_NAMES = """
Ada Alice Amir Amy Anna Ben Bob Carl Carlos Carol Chen Clara Daniel David Diego Dora Elena Ella Emma
Eric Eva Fatima Felix Finn Frank George Grace Hana Hannah Henry Hugo Ines Ivan Jack James Jane Jin
John Jonas Julia Karen Kate Kenji Lara Laura Lena Leo Liam Lily Lina Lucas Lucy Luis Maria Mark Mary
Maya Mia Mike Nadia Nina Noah Nora Oliver Olivia Omar Oscar Paul Peter Priya Rachel Ravi Rosa Ruth
Sam Sara Sarah Sofia Tara Tim Tom Uma Vera Victor Wei Will Yara Yuki Zoe
"""
NAMES = tuple(_NAMES.split())
"""The people of every story."""

DOMAINS = {
    "shop": Domain(
        things=("apples", "pears", "lemons", "oranges", "melons"),
        start=(
            "There are {n} {thing} in {who}'s shop.",
            "{who}'s shop has {n} {thing}.",
            "A shop run by {who} opens with {n} {thing}.",
        ),
        gain=(
            "A van brings {n} more.",
            "{n} more are delivered.",
            "Then {who} orders another {n}.",
            "{other} brings in {n} {thing}.",
        ),
        loss=(
            "Customers buy {n} of them.",
            "{n} are sold.",
            "{who} throws away {n} bad ones.",
            "{other} buys {n} {thing}.",
        ),
        ask=(
            "How many {thing} are in the shop now?",
            "How many {thing} does the shop have at the end?",
            "Find the number of {thing} left in the shop.",
        ),
    ),
    "library": Domain(
        things=("books", "comics", "maps", "magazines"),
        start=(
            "A shelf in the library holds {n} {thing}.",
            "{who} looks after {n} {thing} in a library.",
            "In the library there are {n} {thing}.",
        ),
        gain=(
            "{n} {thing} are returned.",
            "{other} donates {n} {thing}.",
            "{who} puts {n} more on the shelf.",
            "The library buys {n} new ones.",
        ),
        loss=(
            "{other} borrows {n}.",
            "{n} {thing} are lent out.",
            "{who} removes {n} old ones.",
            "A class takes {n} of them away.",
        ),
        ask=(
            "How many {thing} are on the shelf now?",
            "How many {thing} does the library hold at the end?",
            "What number of {thing} is left?",
        ),
    ),
    "bus": Domain(
        things=("people", "passengers", "riders"),
        start=(
            "A bus leaves the station with {n} {thing}.",
            "{who} drives a bus with {n} {thing} on board.",
            "There are {n} {thing} on the bus.",
        ),
        gain=(
            "At a stop {n} get on.",
            "{n} more {thing} climb aboard.",
            "{who} sees {n} {thing} join the bus.",
            "At the market {n} others get on.",
        ),
        loss=(
            "At a stop {n} get off.",
            "{n} {thing} leave the bus.",
            "{who} sees {n} {thing} step out.",
            "At the school {n} of them get off.",
        ),
        ask=(
            "How many {thing} are on the bus now?",
            "How many {thing} does the bus carry at the end?",
            "How many {thing} stay on board?",
        ),
    ),
    "farm": Domain(
        things=("hens", "sheep", "goats", "cows", "ducks"),
        start=(
            "{who} keeps {n} {thing} on a farm.",
            "A farm has {n} {thing}.",
            "There are {n} {thing} in {who}'s field.",
        ),
        gain=(
            "In spring {n} {thing} are born.",
            "{who} buys {n} more at a fair.",
            "{other} gives the farm {n} {thing}.",
            "{n} lost ones come back.",
        ),
        loss=(
            "{n} of them run away.",
            "{who} sells {n} {thing}.",
            "{other} takes {n} to another field.",
            "A fox scares off {n}.",
        ),
        ask=(
            "How many {thing} are on the farm now?",
            "How many {thing} does {who} have left?",
            "Count the {thing} on the farm at the end.",
        ),
    ),
    "game": Domain(
        things=("points", "stars", "gems"),
        start=(
            "{who} has {n} {thing} in a game.",
            "{who} starts a round with {n} {thing}.",
            "In a game {who} holds {n} {thing}.",
        ),
        gain=(
            "{who} wins {n} {thing}.",
            "A bonus adds {n}.",
            "{other} hands over {n} {thing}.",
            "The next level is worth {n} more.",
        ),
        loss=(
            "{who} loses {n} {thing}.",
            "A mistake costs {n}.",
            "{other} steals {n} {thing}.",
            "A trap takes {n} away.",
        ),
        ask=(
            "How many {thing} does {who} have now?",
            "What is the score of {who} in {thing}?",
            "With how many {thing} does {who} end the game?",
        ),
    ),
    "savings": Domain(
        things=("coins", "dollars", "euros"),
        start=(
            "{who} has saved {n} {thing}.",
            "There are {n} {thing} in {who}'s piggy bank.",
            "{who} owns {n} {thing}.",
        ),
        gain=(
            "{who} earns {n} {thing} for work.",
            "{other} gives {who} {n} {thing}.",
            "On Monday {who} saves {n} more.",
            "{who} finds {n} {thing}.",
        ),
        loss=(
            "{who} spends {n} {thing}.",
            "{who} gives {n} to {other}.",
            "A toy costs {n} {thing}.",
            "On Friday {who} pays {n} for lunch.",
        ),
        ask=(
            "How many {thing} does {who} have now?",
            "How many {thing} are left?",
            "How much money is that, in {thing}?",
        ),
    ),
    "bakery": Domain(
        things=("loaves", "cakes", "buns", "pies"),
        start=(
            "{who} bakes {n} {thing} in the morning.",
            "A bakery begins the day with {n} {thing}.",
            "On the counter of {who}'s bakery lie {n} {thing}.",
        ),
        gain=(
            "{who} bakes {n} more.",
            "The oven gives another {n} {thing}.",
            "{other} carries in {n} {thing}.",
            "{n} fresh ones are added.",
        ),
        loss=(
            "{n} {thing} are sold before noon.",
            "{other} eats {n}.",
            "{who} gives away {n} {thing}.",
            "{n} of them are burnt and thrown out.",
        ),
        ask=(
            "How many {thing} are there now?",
            "How many {thing} remain in the bakery?",
            "How many {thing} does {who} have at closing time?",
        ),
    ),
    "garden": Domain(
        things=("roses", "tulips", "flowers", "bushes"),
        start=("{n} {thing} grow in {who}'s garden.", "{who} plants {n} {thing}.", "A garden is full of {n} {thing}."),
        gain=(
            "{who} plants {n} more.",
            "After rain {n} new ones come up.",
            "{other} adds {n} {thing}.",
            "In May {n} {thing} open.",
        ),
        loss=("{who} picks {n} {thing}.", "{n} dry out.", "{other} cuts {n} of them.", "A storm ruins {n} {thing}."),
        ask=(
            "How many {thing} are in the garden now?",
            "How many {thing} are still growing?",
            "How many {thing} does the garden have at the end?",
        ),
    ),
    "collections": Domain(
        things=("stamps", "shells", "cards", "marbles", "stickers"),
        start=("{who} has {n} {thing}.", "{who} collected {n} {thing}.", "In a box {who} keeps {n} {thing}."),
        gain=(
            "{other} has {n} more than {who}.",
            "{other} owns {n} {thing} more than {who}.",
            "Compared with {who}, {other} has {n} more.",
        ),
        loss=(
            "{other} has {n} fewer than {who}.",
            "{other} owns {n} {thing} fewer than {who}.",
            "Compared with {who}, {other} has {n} fewer.",
        ),
        ask=(
            "How many {thing} does {who} have?",
            "How many {thing} are in {who}'s collection?",
            "Find how many {thing} {who} owns.",
        ),
        compares=True,
    ),
    "ages": Domain(
        things=("years",),
        start=("{who} is {n} years old.", "The age of {who} is {n}.", "This year {who} turned {n}."),
        gain=(
            "{other} is {n} years older than {who}.",
            "{other} is older than {who} by {n} years.",
            "Compared with {who}, {other} is {n} years older.",
        ),
        loss=(
            "{other} is {n} years younger than {who}.",
            "{other} is younger than {who} by {n} years.",
            "Compared with {who}, {other} is {n} years younger.",
        ),
        ask=("How old is {who}?", "What is the age of {who}?", "Find the age of {who} in {thing}."),
        compares=True,
    ),
    "harbour": Domain(
        things=("boats", "ships", "ferries"),
        start=(
            "{n} {thing} lie in the harbour.",
            "{who} counts {n} {thing} in a harbour.",
            "A harbour shelters {n} {thing}.",
        ),
        gain=(
            "{n} {thing} sail in.",
            "At high tide {n} more arrive.",
            "{who} sees {n} {thing} drop anchor.",
            "{other} steers {n} into the harbour.",
        ),
        loss=(
            "{n} {thing} sail out.",
            "At low tide {n} depart.",
            "{who} sees {n} {thing} head for the sea.",
            "{other} tows {n} away.",
        ),
        ask=(
            "How many {thing} are in the harbour now?",
            "How many {thing} lie there at the end?",
            "How many {thing} remain?",
        ),
    ),
}
