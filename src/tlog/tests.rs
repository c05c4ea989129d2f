//! The tree and its proofs against another implementation, and against every small lie.

use std::convert::Infallible;
use std::sync::Arc;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use proptest::prelude::*;
use sha2::Sha256;

use super::*;

/// A tree in memory, its hashes level by level as tiles have them.
struct Tree {
    levels: Vec<Vec<Hash>>,
    folds: Vec<TreeHead>,
    oracle: MemoryBackedTree<Sha256, Vec<u8>>,
}

fn leaf(index: u64) -> Vec<u8> {
    format!("entry {index}").into_bytes()
}

impl Tree {
    fn of(size: u64) -> Self {
        let mut tree = Self {
            levels: vec![Vec::new()],
            folds: vec![Fold::default().head()],
            oracle: MemoryBackedTree::new(),
        };
        let mut fold = Fold::default();
        for index in 0..size {
            tree.oracle.push(leaf(index));
            fold.push(Hash::of_leaf(&leaf(index)));
            tree.folds.push(fold.head());
            tree.levels[0].push(Hash::of_leaf(&leaf(index)));
            for level in 0.. {
                if !tree.levels[level].len().is_multiple_of(256) {
                    break;
                }
                if tree.levels.len() == level + 1 {
                    tree.levels.push(Vec::new());
                }
                let mut tile = Fold::default();
                let from = tree.levels[level].len() - 256;
                tree.levels[level][from..].iter().for_each(|hash| tile.push(*hash));
                tree.levels[level + 1].push(tile.head().root);
            }
        }
        tree
    }

    fn tile(&self, path: TilePath) -> Result<Vec<u8>, Infallible> {
        let Row::Hashes(level) = path.row else { panic!("a tile of hashes is asked for") };
        let from = path.number as usize * 256;
        let hashes = &self.levels[usize::from(level)][from..from + usize::from(path.width)];
        Ok(hashes.iter().flat_map(|hash| hash.0).collect())
    }

    fn head(&self, size: u64) -> TreeHead {
        TreeHead { size, root: root_of(size, |path| self.tile(path)).unwrap() }
    }

    fn inclusion(&self, index: u64, size: u64) -> Vec<Hash> {
        inclusion_proof(index, size, |path| self.tile(path)).unwrap()
    }

    fn consistency(&self, old: u64, size: u64) -> Vec<Hash> {
        consistency_proof(old, size, |path| self.tile(path)).unwrap()
    }
}

fn bytes(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

#[test]
fn roots_and_proofs_are_those_of_another_implementation() {
    let mut tree = Tree::of(0);
    for size in [0, 1, 2, 3, 7, 8, 255, 256, 257, 511, 513, 1000] {
        tree = Tree::of(size);
        let root = tree.oracle.root();
        assert_eq!(tree.head(size).root.0[..], root.as_bytes()[..], "{size}");
        assert_eq!(tree.folds[size as usize], tree.head(size), "{size}");
        for index in (0..size).filter(|index| index % 37 == 0 || index + 2 > size) {
            let proof = tree.inclusion(index, size);
            assert_eq!(bytes(&proof), tree.oracle.prove_inclusion(index as usize).as_bytes());
            assert!(verify_inclusion(Hash::of_leaf(&leaf(index)), index, tree.head(size), &proof));
        }
        for old in (1..=size).filter(|old| old % 41 == 0 || old.is_power_of_two() || old + 2 > size) {
            let proof = tree.consistency(old, size);
            let oracle = tree.oracle.prove_consistency((size - old) as usize);
            assert_eq!(bytes(&proof), oracle.as_bytes(), "{old} to {size}");
            assert!(verify_consistency(tree.folds[old as usize], tree.head(size), &proof), "{old} to {size}");
        }
    }
    assert!(verify_consistency(TreeHead::empty(), tree.head(1000), &[]));
}

#[test]
fn a_tree_above_the_second_level_of_tiles_is_read_right() {
    let tree = Tree::of(66_000);
    for size in [65_535, 65_536, 65_537, 66_000] {
        assert_eq!(tree.folds[size as usize], tree.head(size));
    }
    let head = tree.head(66_000);
    for index in [0, 1, 255, 256, 65_535, 65_536, 65_999] {
        let proof = tree.inclusion(index, 66_000);
        assert!(verify_inclusion(Hash::of_leaf(&leaf(index)), index, head, &proof));
    }
    for old in [1, 255, 256, 257, 65_535, 65_536, 65_537, 65_999] {
        assert!(verify_consistency(tree.folds[old as usize], head, &tree.consistency(old, 66_000)));
    }
    let mut tiles = tiles_for(|tiles| inclusion_proof(65_999, 66_000, tiles));
    tiles.sort();
    let paths: Vec<_> = tiles.iter().map(ToString::to_string).collect();
    assert_eq!(paths, ["0/257.p/208", "1/001.p/1", "2/000.p/1"]);
}

#[test]
fn proofs_out_of_known_subtrees_are_the_same_also_where_the_tiles_have_grown_since() {
    let tree = Tree::of(1000);
    let grown = |path: TilePath| {
        let wide = TileId::of_path(&path).unwrap().width_at(1000) as u16;
        let bytes = tree.tile(TilePath { width: wide, ..path }).unwrap();
        Ok::<_, Infallible>(Arc::new(Subtrees::of(&bytes).unwrap()))
    };
    for size in [1, 2, 3, 255, 256, 257, 511, 777, 1000] {
        for index in (0..size).filter(|index| index % 29 == 0 || index + 2 > size) {
            assert_eq!(
                inclusion_proof(index, size, grown).unwrap(),
                tree.inclusion(index, size),
                "{index} of {size}"
            );
        }
        assert_eq!(root_of(size, grown).unwrap(), tree.head(size).root);
    }
    let short = |path: TilePath| {
        let bytes = tree.tile(path).unwrap();
        Ok::<_, Infallible>(Arc::new(Subtrees::of(&bytes[..bytes.len() - Hash::BYTES]).unwrap()))
    };
    assert!(matches!(inclusion_proof(999, 1000, short), Err(TilesError::Width(_))));
    assert_eq!(Subtrees::of(&[0; 33]), None);
}

#[test]
fn a_proof_of_what_is_beyond_the_tree_is_none() {
    let tree = Tree::of(10);
    let beyond = TilesError::Beyond { end: 11, size: 10 };
    assert_eq!(inclusion_proof(10, 10, |path| tree.tile(path)), Err(beyond));
    assert!(inclusion_proof(u64::MAX, 10, |path| tree.tile(path)).is_err());
    assert!(consistency_proof(11, 10, |path| tree.tile(path)).is_err());
    let short = |path| tree.tile(path).map(|bytes| bytes[1..].to_vec());
    assert!(matches!(root_of(10, short), Err(TilesError::Width(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_proof_fits_one_place_of_one_tree(size in 1..600_u64, index: prop::sample::Index, other in 0..600_u64, bit: u8) {
        let tree = Tree::of(size);
        let index = index.index(size as usize) as u64;
        let (leaf, head, proof) = (Hash::of_leaf(&leaf(index)), tree.head(size), tree.inclusion(index, size));
        prop_assert!(verify_inclusion(leaf, index, head, &proof));
        climbs_to(leaf, index, head, &proof)?;
        prop_assert!(other == index || !verify_inclusion(leaf, other, head, &proof));
        prop_assert!(!verify_inclusion(flipped(leaf, bit), index, head, &proof));
        let wrong = TreeHead { root: flipped(head.root, bit), ..head };
        prop_assert!(!verify_inclusion(leaf, index, wrong, &proof));
        for place in 0..proof.len() {
            let mut wrong = proof.clone();
            wrong[place] = flipped(wrong[place], bit);
            prop_assert!(!verify_inclusion(leaf, index, head, &wrong));
            prop_assert!(!verify_inclusion(leaf, index, head, &proof[..place]));
        }
        let longer = [&proof[..], &[head.root]].concat();
        prop_assert!(!verify_inclusion(leaf, index, head, &longer));
    }

    #[test]
    fn a_tree_that_was_changed_has_not_grown(size in 2..600_u64, old: prop::sample::Index, bit: u8) {
        let tree = Tree::of(size);
        let old = 1 + old.index(size as usize - 1) as u64;
        let (before, after) = (tree.folds[old as usize], tree.head(size));
        let proof = tree.consistency(old, size);
        prop_assert!(verify_consistency(before, after, &proof));
        let wrong = |head: TreeHead| TreeHead { root: flipped(head.root, bit), ..head };
        prop_assert!(!verify_consistency(wrong(before), after, &proof));
        prop_assert!(!verify_consistency(before, wrong(after), &proof));
        prop_assert!(!verify_consistency(after, before, &proof));
        for place in 0..proof.len() {
            let mut wrong = proof.clone();
            wrong[place] = flipped(wrong[place], bit);
            prop_assert!(!verify_consistency(before, after, &wrong));
            prop_assert!(!verify_consistency(before, after, &proof[..place]));
        }
        let longer = [&proof[..], &[after.root]].concat();
        prop_assert!(!verify_consistency(before, after, &longer));
    }
}

fn flipped(hash: Hash, bit: u8) -> Hash {
    let mut bytes = hash.0;
    bytes[usize::from(bit / 8)] ^= 1 << (bit % 8);
    Hash(bytes)
}

/// Of Go's `golang.org/x/mod/sumdb/note`.
const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const ENOCH: &str = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop";
const TEXT: &str =
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const OF_PETER: &str = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
const OF_ENOCH: &str = "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";

fn note(text: &str) -> Result<Note, NoteError> {
    text.parse()
}

#[test]
fn notes_that_go_signed_verify() {
    let (peter, enoch): (VerifierKey, VerifierKey) = (PETER.parse().unwrap(), ENOCH.parse().unwrap());
    assert_eq!([peter.to_string(), enoch.to_string()], [PETER, ENOCH]);
    let written = format!("{TEXT}\n{OF_PETER}{OF_ENOCH}");
    let read = note(&written).unwrap();
    assert_eq!((read.text.as_str(), read.to_string()), (TEXT, written));
    assert_eq!(read.verify(&[peter.clone(), enoch.clone()]), Ok(vec![&peter, &enoch]));
    assert_eq!(read.verify(std::slice::from_ref(&enoch)), Ok(vec![&enoch]), "the others are not looked at");
    assert_eq!(read.verify(&[]), Err(NoteError::Unknown));
    let wrong = note(&format!("{}\n{OF_PETER}", TEXT.replace("answer", "reply"))).unwrap();
    assert_eq!(wrong.verify(&[peter, enoch]), Err(NoteError::Wrong("PeterNeumann+c74f20a3".to_owned())));
}

#[test]
fn a_known_keys_wrong_signature_rejects_what_another_has_signed() {
    let keys: [VerifierKey; 2] = [PETER.parse().unwrap(), ENOCH.parse().unwrap()];
    let mut both = note(&format!("{TEXT}\n{OF_PETER}{OF_ENOCH}")).unwrap();
    both.signatures[1].signature[7] ^= 1;
    assert_eq!(both.verify(&keys), Err(NoteError::Wrong("EnochRoot+af0cfe78".to_owned())));
    assert!(both.verify(&keys[..1]).is_ok());
}

#[test]
fn what_is_no_note_is_refused() {
    for (text, error) in [
        (String::new(), NoteError::Form),
        (TEXT.to_owned(), NoteError::Form),
        (format!("{TEXT}\n"), NoteError::Form),
        (format!("{TEXT}{OF_PETER}"), NoteError::Form),
        (format!("{TEXT}\n\n"), NoteError::Form),
        (format!("{TEXT}\n{}", OF_PETER.trim_end()), NoteError::Form),
        (format!("{TEXT}\r\n{OF_PETER}"), NoteError::Control),
        (format!("{TEXT}\n- PeterNeumann x08go/Y=\n"), NoteError::Line(1)),
        (format!("{TEXT}\n{OF_PETER}— Enoch Root rwz+eBzm\n"), NoteError::Line(2)),
        (format!("{TEXT}\n— Enoch+Root rwz+eBzm\n"), NoteError::Line(1)),
        (format!("{TEXT}\n— EnochRoot rwz+eA==\n"), NoteError::Line(1)),
        (format!("{TEXT}\n— EnochRoot rwz+eBz\n"), NoteError::Line(1)),
        (format!("{TEXT}\n{}", OF_PETER.repeat(65)), NoteError::Signatures),
        (format!("{}\n\n{OF_PETER}", "x".repeat(Note::MAX_BYTES)), NoteError::Large),
    ] {
        assert_eq!(note(&text), Err(error), "{text:.200}");
    }
}

#[test]
fn what_is_no_verifier_key_is_refused() {
    let parsed = |text: &str| text.parse::<VerifierKey>();
    for (text, error) in [
        ("", VerifierKeyError::Form),
        ("PeterNeumann+c74f20a3", VerifierKeyError::Form),
        ("PeterNeumann+c74f20a3+?", VerifierKeyError::Form),
        ("PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", VerifierKeyError::Id),
        ("PeterNeuman+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", VerifierKeyError::Id),
        ("+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", VerifierKeyError::Name),
        ("Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", VerifierKeyError::Name),
        ("PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", VerifierKeyError::Algorithm),
        ("PeterNeumann+c74f20a3+ARpc2Q==", VerifierKeyError::Algorithm),
    ] {
        assert_eq!(parsed(text), Err(error), "{text}");
    }
}

#[test]
fn what_is_no_checkpoint_is_refused() {
    const ROOT: &str = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
    let parsed = |text: &str| text.parse::<Checkpoint>();
    let text = format!("example.com/behind-the-sofa\n20852163\n{ROOT}\n");
    let read = parsed(&text).unwrap();
    assert_eq!((read.head.size, read.to_string()), (20_852_163, text.clone()));
    assert_eq!(parsed(&format!("{text}more\n")).unwrap().to_string(), format!("{text}more\n"));
    for (text, error) in [
        (String::new(), CheckpointError::Form),
        (text.trim_end().to_owned(), CheckpointError::Form),
        (format!("\n1\n{ROOT}\n"), CheckpointError::Form),
        (format!("{text}\n"), CheckpointError::Form),
        (format!("a\n01\n{ROOT}\n"), CheckpointError::Size),
        (format!("a\n+1\n{ROOT}\n"), CheckpointError::Size),
        (format!("a\n-1\n{ROOT}\n"), CheckpointError::Size),
        (format!("a\n18446744073709551616\n{ROOT}\n"), CheckpointError::Size),
        ("a\n1\n".to_owned(), CheckpointError::Root),
        (format!("a\n1\n{}\n", &ROOT[..40]), CheckpointError::Root),
        // The same bytes, in base64 that nobody writes.
        (format!("a\n1\n{}\n", ROOT.replace("I=", "J=")), CheckpointError::Root),
    ] {
        assert_eq!(parsed(&text), Err(error), "{text}");
    }
}

/// Signs notes.
fn signer(name: &str, seed: u8) -> (VerifierKey, impl Fn(&str) -> String) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    let key = VerifierKey::new(name, pair.public_key().as_ref().try_into().unwrap()).unwrap();
    let (name, id) = (name.to_owned(), key.id());
    let sign = move |text: &str| {
        let signature = pair.sign(text.as_bytes()).as_ref().to_vec();
        let line = NoteSignature { name: name.clone(), id, signature };
        Note { text: text.to_owned(), signatures: vec![line] }.to_string()
    };
    (key, sign)
}

const ORIGIN: &str = "signet.example.com/log";

/// A proof of the entry 300 in a tree of 421 entries, and who vouches for it.
fn proof() -> (Proof, Hash, [VerifierKey; 1]) {
    let tree = Tree::of(421);
    let (key, sign) = signer(ORIGIN, 1);
    let checkpoint = sign(&Checkpoint::new(ORIGIN, tree.head(421)).to_string());
    let proof = Proof { extra: None, index: 300, hashes: tree.inclusion(300, 421), checkpoint };
    (proof, Hash::of_leaf(&leaf(300)), [key])
}

#[test]
fn a_proof_is_written_and_read_and_verifies() {
    let (proof, leaf, keys) = proof();
    let text = proof.to_string();
    assert!(text.starts_with("c2sp.org/tlog-proof@v1\nindex 300\n"), "{text}");
    assert_eq!(text.parse(), Ok(proof.clone()));
    assert_eq!(proof.verify(leaf, ORIGIN, &keys).unwrap().head.size, 421);
    let with_extra = Proof { extra: Some(b"words".to_vec()), ..proof.clone() };
    assert_eq!(with_extra.to_string().parse(), Ok(with_extra.clone()));

    let of_another = proof.verify(leaf, "signet.example.com/other", &keys);
    assert!(matches!(of_another, Err(ProofError::Checkpoint(CheckpointError::Origin { .. }))));
    let another_key = proof.verify(leaf, ORIGIN, &[signer(ORIGIN, 2).0]);
    assert!(matches!(another_key, Err(ProofError::Checkpoint(CheckpointError::Note(NoteError::Unknown)))));
    let swapped = Proof { index: 301, ..proof };
    assert_eq!(swapped.verify(leaf, ORIGIN, &keys), Err(ProofError::NotIncluded { index: 301, size: 421 }));
}

#[test]
fn no_bit_of_a_proof_can_be_flipped() {
    let (proof, leaf, keys) = proof();
    let text = proof.to_string().into_bytes();
    for bit in 0..text.len() * 8 {
        let mut flipped = text.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let Ok(flipped) = String::from_utf8(flipped) else { continue };
        let verified = flipped.parse::<Proof>().is_ok_and(|proof| proof.verify(leaf, ORIGIN, &keys).is_ok());
        assert!(!verified, "{flipped}");
    }
    for end in 0..text.len() {
        let cut = String::from_utf8_lossy(&text[..end]).into_owned();
        let verified = cut.parse::<Proof>().is_ok_and(|proof| proof.verify(leaf, ORIGIN, &keys).is_ok());
        assert!(!verified, "{cut}");
    }
}

#[test]
fn what_is_no_proof_is_refused() {
    let (proof, ..) = proof();
    let text = proof.to_string();
    let parsed = |text: String| text.parse::<Proof>();
    let hash = proof.hashes[0].to_string();
    for (text, error) in [
        (String::new(), ProofError::Form),
        (text.replace("@v1", "@v2"), ProofError::Header),
        (text.replace("index 300", "index 0300"), ProofError::Index),
        (text.replace("index 300", "index -1"), ProofError::Index),
        (text.replace("index 300", "index 18446744073709551616"), ProofError::Index),
        (text.replace("index 300", "extra ?\nindex 300"), ProofError::Extra),
        (text.replace("index 300", "extra AAAA\nextra AAAA\nindex 300"), ProofError::Index),
        (text.replacen(&hash, &hash[..40], 1), ProofError::Hash(3)),
        (text.replacen(&hash, &format!("{hash}\n").repeat(65), 1), ProofError::Long),
    ] {
        assert_eq!(parsed(text.clone()), Err(error), "{text}");
    }
}

/// A proof of the entries from `first` to below `end` in a tree of 421, and who vouches for it.
fn range(tree: &Tree, first: u64, end: u64) -> (RangeProof, [VerifierKey; 1]) {
    let (key, sign) = signer(ORIGIN, 1);
    let size = tree.levels[0].len() as u64;
    let checkpoint = sign(&Checkpoint::new(ORIGIN, tree.head(size)).to_string());
    let hashes = range_hashes(first, end, size, |path| tree.tile(path)).unwrap();
    (RangeProof { first, end, hashes, checkpoint }, [key])
}

fn checked(
    proof: &RangeProof,
    keys: &[VerifierKey],
    leaves: impl IntoIterator<Item = Vec<u8>>,
) -> Result<TreeHead, RangeError> {
    let mut check = proof.clone().check(ORIGIN, keys)?;
    leaves.into_iter().for_each(|bytes| check.push(Hash::of_leaf(&bytes)));
    check.finish()
}

#[test]
fn every_range_is_proven_with_a_few_hashes() {
    for size in [0, 1, 2, 7, 255, 256, 257, 421] {
        let tree = Tree::of(size);
        for first in (0..=size).filter(|first| first % 29 == 0 || first.is_power_of_two() || first + 2 > size)
        {
            for end in (first..=size).filter(|end| end % 31 == 0 || end.is_power_of_two() || end + 2 > size) {
                let (proof, keys) = range(&tree, first, end);
                assert!(proof.hashes.len() <= 18);
                assert_eq!(proof.to_string().parse(), Ok(proof.clone()));
                let head = checked(&proof, &keys, (first..end).map(leaf));
                assert_eq!(head, Ok(tree.head(size)), "{first} to {end} of {size}");
            }
        }
    }
}

#[test]
fn a_range_that_lacks_an_entry_or_has_another_is_refused() {
    let tree = Tree::of(421);
    let (proof, keys) = range(&tree, 100, 300);
    let all = || (100..300).map(leaf).collect::<Vec<_>>();
    let with = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut leaves = all();
        change(&mut leaves);
        checked(&proof, &keys, leaves)
    };
    let count = |found| Err(RangeError::Entries { found, expected: 200 });
    assert_eq!(with(&|_| ()), Ok(tree.head(421)));
    assert_eq!(with(&|leaves| drop(leaves.pop())), count(199), "truncated");
    assert_eq!(with(&|leaves| leaves.push(leaf(300))), count(201));
    assert_eq!(with(&|leaves| drop(leaves.remove(7))), count(199));
    assert_eq!(with(&|leaves| leaves.swap(7, 8)), Err(RangeError::Root), "swapped");
    assert_eq!(with(&|leaves| leaves[7][0] ^= 1), Err(RangeError::Root), "a flipped bit");
    let shifted = RangeProof { first: 101, end: 301, ..proof.clone() };
    assert!(checked(&shifted, &keys, all()).is_err());
    let short = RangeProof { hashes: proof.hashes[1..].to_vec(), ..proof.clone() };
    assert!(matches!(checked(&short, &keys, all()), Err(RangeError::Count { .. })));
    let beyond = RangeProof { end: 422, ..proof.clone() };
    assert_eq!(checked(&beyond, &keys, all()), Err(RangeError::Beyond { end: 422, size: 421 }));
    for (wrong, error) in [
        (proof.to_string().replace("@v1", "@v2"), RangeError::Header),
        (proof.to_string().replace("range 100 300", "range 100 99"), RangeError::Range),
        (proof.to_string().replace("range 100 300", "range 0100 300"), RangeError::Range),
        (proof.to_string().replace("\n\n", "\nx\n\n"), RangeError::Hash(3 + proof.hashes.len())),
    ] {
        assert_eq!(wrong.parse::<RangeProof>().map(drop).unwrap_err(), error);
    }
}

/// The way up is of one piece, from the leaf to the root, with each step's leaves side by side.
fn climbs_to(leaf: Hash, index: u64, head: TreeHead, proof: &[Hash]) -> Result<(), TestCaseError> {
    let steps = climb(leaf, index, head.size, proof).unwrap();
    let (mut at, mut leaves) = (leaf, (index, index + 1));
    for (step, beside) in steps.iter().zip(proof) {
        prop_assert_eq!((step.from, step.leaves, step.beside), (at, leaves, *beside));
        let (left, right) =
            if step.is_left { (step.beside_leaves, leaves) } else { (leaves, step.beside_leaves) };
        prop_assert_eq!(left.1, right.0);
        (at, leaves) = (step.above, (left.0, right.1));
    }
    prop_assert_eq!((at, leaves), (head.root, (0, head.size)));
    prop_assert_eq!(climb(leaf, head.size, head.size, proof), None);
    prop_assert_eq!(climb(leaf, index, head.size, &[proof, &[leaf]].concat()), None);
    Ok(())
}
