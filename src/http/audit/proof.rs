//! An entry's proof, checked here step by step and drawn.

use super::parts::Number;
use crate::service::ProvenEntry;
use crate::tlog::{Checkpoint, ClimbStep, Hash, Note, Proof, VerifierKey, climb};

/// An entry with what proves it, as a page shows it.
#[derive(Debug, Clone)]
pub struct ProofView {
    pub index: u64,
    /// The entry's exact bytes, as text.
    pub bytes: String,
    pub length: usize,
    /// The hash of its leaf.
    pub leaf: String,
    /// None where no checkpoint covers it yet.
    pub proof: Option<Checked>,
}

/// A proof that was followed to its end.
#[derive(Debug, Clone)]
pub struct Checked {
    pub steps: Vec<Step>,
    pub picture: Picture,
    /// The root that the steps come to, and the one that the checkpoint says.
    pub computed: String,
    pub root: String,
    pub is_in_tree: bool,
    pub size: Number,
    pub origin: String,
    /// Names of the keys whose signatures of the checkpoint were verified.
    pub signers: Vec<String>,
    pub is_signed: bool,
    /// The checkpoint's note.
    pub checkpoint: String,
}

/// One step of the way up.
#[derive(Debug, Clone)]
pub struct Step {
    pub number: usize,
    pub left: Node,
    pub right: Node,
    pub above: Node,
    /// Whether the way comes from the left.
    pub from_left: bool,
}

/// A node of the tree.
#[derive(Debug, Clone)]
pub struct Node {
    pub hash: String,
    pub brief: String,
    /// The entries below it.
    pub leaves: String,
}

/// The steps as a picture, the root at the top.
#[derive(Debug, Clone)]
pub struct Picture {
    pub height: usize,
    pub boxes: Vec<DrawnBox>,
    pub lines: Vec<Line>,
}

#[derive(Debug, Clone)]
pub struct DrawnBox {
    pub x: usize,
    pub y: usize,
    /// `way`, `beside`, `leaf` or `root`.
    pub class: &'static str,
    pub label: String,
    pub brief: String,
}

#[derive(Debug, Clone)]
pub struct Line {
    pub x1: usize,
    pub y1: usize,
    pub x2: usize,
    pub y2: usize,
    pub class: &'static str,
}

impl ProofView {
    /// Follows the proof; `trusted` are the log's own keys.
    pub fn of(entry: &ProvenEntry, trusted: &[VerifierKey]) -> Self {
        let logged = &entry.logged;
        let leaf = Hash::of_leaf(&logged.bytes);
        let proof = entry.proof.as_deref().and_then(|text| text.parse::<Proof>().ok());
        Self {
            index: logged.index,
            bytes: super::parts::plain(&String::from_utf8_lossy(&logged.bytes)),
            length: logged.bytes.len(),
            leaf: leaf.to_string(),
            proof: proof.and_then(|proof| checked(leaf, &proof, trusted)),
        }
    }
}

fn checked(leaf: Hash, proof: &Proof, trusted: &[VerifierKey]) -> Option<Checked> {
    let note: Note = proof.checkpoint.parse().ok()?;
    let checkpoint: Checkpoint = note.text.parse().ok()?;
    let head = checkpoint.head;
    let climbed = climb(leaf, proof.index, head.size, &proof.hashes)?;
    let computed = climbed.last().map_or(leaf, |step| step.above);
    let signers = note.verify(trusted).unwrap_or_default();
    Some(Checked {
        picture: picture(proof.index, leaf, &climbed),
        steps: climbed.iter().enumerate().map(|(place, step)| step_view(place + 1, step)).collect(),
        computed: computed.to_string(),
        root: head.root.to_string(),
        is_in_tree: computed == head.root,
        size: Number(head.size),
        origin: super::parts::plain(&checkpoint.origin),
        is_signed: !signers.is_empty(),
        signers: signers.iter().map(|key| super::parts::plain(&key.to_string())).collect(),
        checkpoint: super::parts::plain_lines(&proof.checkpoint),
    })
}

fn node(hash: Hash, leaves: (u64, u64)) -> Node {
    let hash = hash.to_string();
    let last = leaves.1.saturating_sub(1);
    Node {
        brief: hash.chars().take(8).collect(),
        leaves: if leaves.0 == last {
            format!("entry {}", Number(last))
        } else {
            format!("entries {} to {}", Number(leaves.0), Number(last))
        },
        hash,
    }
}

fn above(step: &ClimbStep) -> (u64, u64) {
    (step.leaves.0.min(step.beside_leaves.0), step.leaves.1.max(step.beside_leaves.1))
}

fn step_view(number: usize, step: &ClimbStep) -> Step {
    let (own, beside) = (node(step.from, step.leaves), node(step.beside, step.beside_leaves));
    let (left, right) = if step.is_left { (beside, own) } else { (own, beside) };
    Step { number, left, right, above: node(step.above, above(step)), from_left: !step.is_left }
}

/// Of the picture: its width, a box, and the distance of rows.
pub const WIDTH: usize = 640;
const BOX: (usize, usize) = (250, 40);
const ROW: usize = 72;
const MARGIN: usize = 8;

fn picture(index: u64, leaf: Hash, steps: &[ClimbStep]) -> Picture {
    let (left, right, middle) = (MARGIN, WIDTH - MARGIN - BOX.0, (WIDTH - BOX.0) / 2);
    // Where the way comes through each row, from the root down to the leaf.
    let mut boxes = Vec::new();
    let mut lines = Vec::new();
    let root =
        steps.last().map_or_else(|| node(leaf, (index, index + 1)), |step| node(step.above, above(step)));
    let drawn = |x, y, class, node: Node| DrawnBox { x, y, class, label: node.leaves, brief: node.brief };
    boxes.push(drawn(middle, MARGIN, if steps.is_empty() { "leaf" } else { "root" }, root));
    let mut parent = middle;
    for (row, step) in steps.iter().rev().enumerate() {
        let y = MARGIN + (row + 1) * ROW;
        let (own, beside) = if step.is_left { (right, left) } else { (left, right) };
        let is_last = row + 1 == steps.len();
        for (x, class) in [(beside, "beside"), (own, "way")] {
            lines.push(Line { x1: parent + BOX.0 / 2, y1: y - ROW + BOX.1, x2: x + BOX.0 / 2, y2: y, class });
        }
        boxes.push(drawn(beside, y, "beside", node(step.beside, step.beside_leaves)));
        boxes.push(drawn(own, y, if is_last { "leaf" } else { "way" }, node(step.from, step.leaves)));
        parent = own;
    }
    Picture { height: 2 * MARGIN + steps.len() * ROW + BOX.1, boxes, lines }
}
