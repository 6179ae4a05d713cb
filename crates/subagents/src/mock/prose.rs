//! Short text that can be told to be made up and is the same for the same seed.

use super::draw::Draw;

const SUBJECTS: [&str; 12] = [
    "The first part",
    "The evidence",
    "The main file",
    "One of the cases",
    "The summary",
    "The second option",
    "The oldest entry",
    "The interface",
    "The claim",
    "The remaining work",
    "The test",
    "The plan",
];
const VERBS: [&str; 12] = [
    "supports",
    "contradicts",
    "repeats",
    "narrows",
    "explains",
    "leaves open",
    "depends on",
    "replaces",
    "confirms",
    "postpones",
    "simplifies",
    "covers",
];
const OBJECTS: [&str; 12] = [
    "what was asked",
    "the earlier finding",
    "two of the three points",
    "the stated limit",
    "the next step",
    "a smaller change",
    "the common case",
    "an assumption",
    "the first draft",
    "the open question",
    "the known figures",
    "most of the rest",
];

/// Two to four plain sentences.
pub(crate) fn prose(draw: &mut Draw) -> String {
    let mut text = format!("Mock answer {:04x}.", draw.draw() & 0xffff);
    for _ in 0..1 + draw.below(3) {
        text.push(' ');
        text.push_str(draw.pick(&SUBJECTS));
        text.push(' ');
        text.push_str(draw.pick(&VERBS));
        text.push(' ');
        text.push_str(draw.pick(&OBJECTS));
        text.push('.');
    }
    text
}
