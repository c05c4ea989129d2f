//! The search index, held against the entries themselves.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use signet::domain::{
    AttachResult, Digest, Entry, EntryFilter, Event, Operation, Pattern, Reach, Record, SignatureId, State,
};
use signet::log::GroupCommitLog;
use signet::ports::{
    CountQuery, CountedOf, EntryQuery, Grouping, ListedSignature, LogSearch as _, SignatureFilter,
    SignatureQuery, SignatureState, SignaturesOf, SigningLog as _,
};

use crate::fixtures::{Place, Story, all, at, contract, entries_within, indexed, indexes, newest, reversed};

contract! {
    pages_of_any_question_together_are_what_the_filter_finds_in_all_entries,
    signatures_are_listed_in_the_state_that_their_entries_tell,
    counts_are_those_of_the_entries,
    a_signature_is_found_at_every_moment_while_the_index_follows,
    an_index_that_is_made_again_answers_all_the_while_and_then_the_same,
    a_first_page_speaks_of_what_is_indexed_and_later_pages_of_the_same,
}

const REPOSITORIES: [&str; 4] = [
    "registry.example.com/team/app",
    "registry.example.com/team/other",
    "registry.example.com/elsewhere/a/b",
    "other.example.com/app",
];

const DAY: i64 = 24 * 3600;

/// Entries of all sorts, in an order that may not happen: what is told twice, too late or never.
fn entries(random: &mut StdRng, count: usize) -> Vec<Entry> {
    let mut stories: Vec<Story> = Vec::new();
    let mut entries = Vec::new();
    for number in 0..count {
        if stories.is_empty() || random.random_bool(0.3) {
            let digest = random.random_range(0..20u8);
            stories.push(Story {
                principal: ["ci", "night", "mallory"].choose(random).unwrap().to_string(),
                repository: REPOSITORIES.choose(random).unwrap().to_string(),
                digest: Digest::of(&[digest]),
                key: ["release", "nightly"].choose(random).unwrap(),
                version: random.random_range(1..4),
                ..Story::new()
            });
        }
        // Time goes on, and is now and then another clock's.
        let lag = if random.random_bool(0.1) { random.random_range(0..2 * DAY) } else { 0 };
        let second = i64::try_from(number).unwrap() * 1500 - lag;
        let newest = stories.len().saturating_sub(30);
        let story = Story { second, ..stories[random.random_range(newest..stories.len())].clone() };
        let mut entry = match random.random_range(0..12) {
            0..3 => story.intent(),
            3..5 => story.signed(),
            5 => story.failed(),
            6..8 => story.attached(),
            8 => story.not_attached(),
            9 => story.adopted(),
            10 => story.refusal(),
            _ => Entry::of_service(at(second), Event::Stop { instance: "one".to_owned() }),
        };
        if let Event::Attach { result, .. } = &mut entry.event {
            match random.random_range(0..4) {
                0 => *result = AttachResult::GivenUp { code: "registry-denied".to_owned() },
                1 => *result = AttachResult::Missing { reference: "registry".to_owned() },
                _ => {}
            }
        }
        if random.random_bool(0.2) {
            entry.ruling = None;
        }
        // All entries of one signature are about the same.
        if entry.signing().is_none()
            && random.random_bool(0.3)
            && let Some(subject) = &mut entry.subject
        {
            subject.repository = None;
        }
        if random.random_bool(0.2) && entry.operation.is_some() {
            entry.operation = Some(Operation::Attest);
        }
        entries.push(entry);
    }
    entries
}

fn filter(random: &mut StdRng, entries: &[Entry]) -> EntryFilter {
    let rate = *[0.1, 0.3].choose(random).unwrap();
    let span = i64::try_from(entries.len()).unwrap() * 1500;
    let mut maybe = |value: &mut dyn FnMut(&mut StdRng)| {
        if random.random_bool(rate) {
            value(random);
        }
    };
    let mut filter = EntryFilter::default();
    maybe(&mut |random| filter.digest = Some(Digest::of(&[random.random_range(0..22u8)])));
    maybe(&mut |random| filter.repository = Some(pattern(random)));
    maybe(&mut |random| {
        filter.principal = Some(word(random, &["token:ci", "token:night", "signet", "token:?"]))
    });
    maybe(&mut |random| filter.key = Some(word(random, &["release", "nightly", "release\n1", "", "none"])));
    maybe(&mut |random| filter.key_version = Some(random.random_range(0..5)));
    maybe(&mut |random| {
        filter.kind = Some(word(random, &["intent", "outcome", "refusal", "stop", "archive"]))
    });
    maybe(&mut |random| {
        filter.operation =
            Some(*[Operation::Sign, Operation::Attest, Operation::Blob].choose(random).unwrap())
    });
    maybe(&mut |random| filter.rule = Some(word(random, &["rule", "another"])));
    maybe(&mut |random| filter.denied = Some(random.random_bool(0.5)));
    maybe(&mut |random| {
        let id = entries.choose(random).and_then(|entry| entry.request_id.clone());
        filter.request_id = id.map(|id| id.as_str().to_owned());
    });
    maybe(&mut |random| filter.from = Some(at(random.random_range(-DAY..span))));
    maybe(&mut |random| filter.to = Some(at(random.random_range(-DAY..span))));
    filter
}

fn pattern(random: &mut StdRng) -> Pattern {
    let patterns = [
        "**",
        "registry.example.com/**",
        "registry.example.com/team/*",
        "*/app",
        "registry.example.com/team/app",
        "nowhere.example.com/app",
    ];
    Pattern::of_repositories(patterns.choose(random).unwrap()).unwrap()
}

/// The whole log as often as a part of it.
fn reach(random: &mut StdRng) -> Reach {
    let mut some = |most: usize| (0..random.random_range(0..=most)).map(|_| pattern(random)).collect();
    match [some(2), some(1)] {
        [shown, hidden] if random.random_bool(0.3) => Reach::of(shown, hidden),
        [_, hidden] if random.random_bool(0.4) => Reach::all_but(hidden),
        _ => Reach::whole(),
    }
}

fn word(random: &mut StdRng, words: &[&str]) -> String {
    words.choose(random).unwrap().to_string()
}

/// Appends `entries` in groups, and has them indexed.
async fn logged(log: &GroupCommitLog, entries: &[Entry]) {
    for group in entries.chunks(97) {
        log.append(group.to_vec()).await.unwrap();
    }
    indexed(log).await;
}

async fn pages_of_any_question_together_are_what_the_filter_finds_in_all_entries(place: Place) {
    let mut random = StdRng::seed_from_u64(1);
    let entries = entries(&mut random, 2500);
    let log = place.log();
    logged(&log, &entries).await;
    for round in 0..250 {
        let (filter, reach) = (filter(&mut random, &entries), reach(&mut random));
        let is_meant = |entry: &Entry| filter.matches(entry) && reach.sees(entry.repository());
        let expected = (0..).zip(&entries).filter(|(_, entry)| is_meant(entry)).map(|(index, _)| index);
        let expected: Vec<u64> = expected.collect();
        let limit = random.random_range(1..600);
        let query = EntryQuery { filter, limit, ..EntryQuery::default() };
        for (query, expected) in
            [(newest(query.clone()), reversed(expected.clone())), (query.clone(), expected)]
        {
            let found = entries_within(&log, query.clone(), reach.clone()).await;
            let found: Vec<_> = found.iter().map(|entry| entry.index).collect();
            assert_eq!(found, expected, "round {round}: {query:?} {reach:?}");
        }
    }
}

/// What the entries tell of each signature, by the index of its first entry.
fn records(entries: &[Entry]) -> BTreeMap<u64, Record> {
    let mut of: HashMap<SignatureId, Vec<(u64, &Entry)>> = HashMap::new();
    for (index, entry) in (0..).zip(entries) {
        if let Some(signing) = entry.signing() {
            of.entry(signing.id).or_default().push((index, entry));
        }
    }
    of.into_values().map(|entries| (entries[0].0, Record::from_entries(entries).unwrap())).collect()
}

async fn all_signatures(
    log: &GroupCommitLog,
    mut query: SignatureQuery,
    reach: &Reach,
) -> Vec<ListedSignature> {
    let mut found = Vec::new();
    loop {
        let page = log.signatures(query.clone(), reach.clone()).await.unwrap();
        found.extend(page.signatures);
        let Some(next) = page.next else { return found };
        query.begin = next;
        query.size = Some(page.size);
    }
}

async fn signatures_are_listed_in_the_state_that_their_entries_tell(place: Place) {
    let mut random = StdRng::seed_from_u64(2);
    let entries = entries(&mut random, 2500);
    let log = place.log();
    logged(&log, &entries).await;
    let records = records(&entries);
    let everything = SignatureQuery { limit: 100, ..SignatureQuery::default() };
    let listed = all_signatures(&log, everything, &Reach::whole()).await;
    assert_eq!(
        listed.iter().map(|signature| signature.first).collect::<Vec<_>>(),
        records.keys().copied().collect::<Vec<_>>()
    );
    let intents = entries.iter().filter(|entry| matches!(entry.event, Event::Intent { .. }));
    let intended: Vec<_> = intents.map(|entry| entry.signing().unwrap().id).collect();
    for signature in &listed {
        let record = &records[&signature.first];
        assert_eq!(log.record(signature.signing.id).await.unwrap().as_ref(), Some(record));
        assert_eq!(signature.principal, record.principal);
        let fits = match (&record.state, signature.state) {
            (State::Pending, SignatureState::Pending) => {
                signature.batch.is_some() || !intended.contains(&signature.signing.id)
            }
            (State::Signed { .. }, SignatureState::Signed) => signature.attach.is_none(),
            (State::Signed { .. }, SignatureState::Missing) => {
                matches!(signature.attach, Some(AttachResult::Missing { .. }))
            }
            (State::Attached { attachment, .. }, SignatureState::Attached) => {
                let AttachResult::Attached { reference, .. } = signature.attach.as_ref().unwrap() else {
                    panic!("{signature:?}")
                };
                *reference == attachment.reference
            }
            (State::GivenUp { .. }, SignatureState::GivenUp) => true,
            (State::Failed { code }, SignatureState::Failed) => signature.failure.as_ref() == Some(code),
            _ => false,
        };
        assert!(fits, "{signature:?} {record:?}");
        if record.signature().is_some() {
            assert_eq!(signature.holder, Some(record.index));
        }
    }
    for _ in 0..100 {
        let (filter, reach) = (signature_filter(&mut random), reach(&mut random));
        let sees = |signature: &ListedSignature| reach.sees(signature.subject.repository.as_ref());
        let expected = listed.iter().filter(|signature| is_meant(&filter, signature) && sees(signature));
        let expected: Vec<_> = expected.cloned().collect();
        let query =
            SignatureQuery { filter, limit: random.random_range(1..300), ..SignatureQuery::default() };
        assert_eq!(all_signatures(&log, query.clone(), &reach).await, expected, "{query:?} {reach:?}");
    }
}

fn signature_filter(random: &mut StdRng) -> SignatureFilter {
    let states = [
        SignatureState::Pending,
        SignatureState::Signed,
        SignatureState::Attached,
        SignatureState::Missing,
        SignatureState::GivenUp,
        SignatureState::Failed,
    ];
    let mut filter = SignatureFilter::default();
    let mut maybe = |value: &mut dyn FnMut(&mut StdRng)| {
        if random.random_bool(0.3) {
            value(random);
        }
    };
    maybe(&mut |random| filter.digest = Some(Digest::of(&[random.random_range(0..22u8)])));
    maybe(&mut |random| filter.repository = Some(pattern(random)));
    maybe(&mut |random| filter.principal = Some(word(random, &["token:ci", "token:night"])));
    maybe(&mut |random| filter.key = Some(word(random, &["release", "nightly", "none"])));
    maybe(&mut |random| filter.key_version = Some(random.random_range(1..4)));
    maybe(&mut |random| filter.state = states.choose(random).copied());
    maybe(&mut |random| filter.from = Some(at(random.random_range(-DAY..40 * DAY))));
    maybe(&mut |random| filter.to = Some(at(random.random_range(-DAY..40 * DAY))));
    filter
}

fn is_meant(filter: &SignatureFilter, signature: &ListedSignature) -> bool {
    let SignatureFilter { digest, repository, principal, key, key_version, state, from, to } = filter;
    digest.is_none_or(|digest| digest == signature.subject.digest)
        && repository.as_ref().is_none_or(|pattern| {
            signature.subject.repository.as_ref().is_some_and(|name| pattern.matches(&name.to_string()))
        })
        && principal.as_ref().is_none_or(|principal| *principal == signature.principal)
        && key.as_ref().is_none_or(|key| key == signature.signing.key.name.as_str())
        && key_version.is_none_or(|version| version == signature.signing.key.version.get())
        && state.is_none_or(|state| state == signature.state)
        && from.is_none_or(|from| signature.time >= from)
        && to.is_none_or(|to| signature.time < to)
}

async fn counts_are_those_of_the_entries(place: Place) {
    let mut random = StdRng::seed_from_u64(3);
    let entries = entries(&mut random, 4000);
    let log = place.log();
    logged(&log, &entries).await;
    let first_day = at(0).as_second() / DAY;
    let of = [
        None,
        Some(CountedOf::Repository(Pattern::of_repositories("registry.example.com/team/*").unwrap())),
        Some(CountedOf::Principal("token:ci".to_owned())),
        Some(CountedOf::Key { name: "release".to_owned(), version: Some(2) }),
        Some(CountedOf::Key { name: "release".to_owned(), version: None }),
        Some(CountedOf::Operation(Operation::Attest)),
        Some(CountedOf::Rule("rule".to_owned())),
    ];
    let groupings = [
        Grouping::Day,
        Grouping::Month,
        Grouping::Repository,
        Grouping::Principal,
        Grouping::Key,
        Grouping::Kind,
        Grouping::Operation,
        Grouping::Decision,
        Grouping::Rule,
    ];
    for by in groupings {
        for of in of.iter().filter(|of| of.as_ref().is_none_or(|of| by.goes_with(of))) {
            for (from, to) in [
                (None, None),
                (Some(-3), Some(70)),
                (Some(1), Some(2)),
                (Some(20), None),
                (None, Some(45)),
                (Some(31), Some(59)),
            ] {
                let kind = random.random_bool(0.3).then(|| "outcome".to_owned());
                let denied = random.random_bool(0.3).then(|| random.random_bool(0.5));
                let day = |day: i64| day + first_day;
                let query = CountQuery {
                    by,
                    of: of.clone(),
                    kind,
                    denied,
                    from: from.map(day),
                    to: to.map(day),
                    top: usize::MAX,
                };
                let reach = reach(&mut random);
                if !reach.is_whole() && !query.is_of_repositories() {
                    log.counts(query, reach).await.unwrap_err();
                    continue;
                }
                let answer = log.counts(query.clone(), reach.clone()).await.unwrap();
                let within: Vec<_> = entries.iter().filter(|entry| reach.sees(entry.repository())).collect();
                let expected = counted(&within, &query);
                assert_eq!(answer.entries, expected.values().sum::<u64>(), "{query:?} {reach:?}");
                let found = answer
                    .groups
                    .iter()
                    .map(|group| ((group.group.clone(), group.key_version), group.entries));
                assert_eq!(found.collect::<BTreeMap<_, _>>(), expected, "{query:?}");
                let top = log.counts(CountQuery { top: 2, ..query.clone() }, reach).await.unwrap();
                assert_eq!(top.entries, answer.entries);
                let mut most: Vec<_> = answer.groups.iter().map(|group| group.entries).collect();
                most.sort_unstable_by_key(|entries| std::cmp::Reverse(*entries));
                let mut named: Vec<_> = top.groups.iter().map(|group| group.entries).collect();
                named.sort_unstable_by_key(|entries| std::cmp::Reverse(*entries));
                assert_eq!(named, most.into_iter().take(2).collect::<Vec<_>>(), "{query:?}");
            }
        }
    }
}

/// What `query` counts, entry by entry.
fn counted(entries: &[&Entry], query: &CountQuery) -> BTreeMap<(String, Option<u32>), u64> {
    let mut groups = BTreeMap::new();
    for entry in entries {
        let day = entry.time.as_second().div_euclid(DAY);
        let repository = entry.repository().map(ToString::to_string).unwrap_or_default();
        let key = entry.key().map(|key| key.as_str().to_owned()).unwrap_or_default();
        let version = entry.key_version().map(|version| version.get());
        let operation = entry.operation.map(|operation| operation.to_string()).unwrap_or_default();
        let rule = entry.rule().unwrap_or_default().to_owned();
        let is_counted = match &query.of {
            None => true,
            Some(CountedOf::Repository(pattern)) => !repository.is_empty() && pattern.matches(&repository),
            Some(CountedOf::Principal(principal)) => *principal == entry.principal,
            Some(CountedOf::Key { name, version: of }) => {
                *name == key && of.is_none_or(|of| version == Some(of))
            }
            Some(CountedOf::Operation(of)) => entry.operation == Some(*of),
            Some(CountedOf::Rule(of)) => *of == rule,
        };
        if !is_counted
            || query.kind.as_ref().is_some_and(|kind| kind != entry.kind())
            || query.denied.is_some_and(|denied| denied != (entry.refusals() > 0))
            || query.from.is_some_and(|from| day < from)
            || query.to.is_some_and(|to| day >= to)
        {
            continue;
        }
        let text = entry.time.to_string();
        let group = match query.by {
            Grouping::Day => (text[..10].to_owned(), None),
            Grouping::Month => (text[..7].to_owned(), None),
            Grouping::Repository => (repository, None),
            Grouping::Principal => (entry.principal.clone(), None),
            Grouping::Key => (key, version),
            Grouping::Kind => (entry.kind().to_owned(), None),
            Grouping::Operation => (operation, None),
            Grouping::Decision => (if entry.refusals() > 0 { "deny" } else { "allow" }.to_owned(), None),
            Grouping::Rule => (rule, None),
        };
        *groups.entry(group).or_insert(0) += 1;
    }
    groups
}

/// Signs one after the other, and looks at once whether each is found. Meanwhile somebody may do something else.
async fn sign_and_look(log: &GroupCommitLog, numbers: Range<usize>) {
    for number in numbers {
        let digest = Digest::of(&number.to_be_bytes());
        let story = Story { digest, ..Story::new() };
        log.append(vec![story.intent()]).await.unwrap();
        assert_eq!(log.record(story.id).await.unwrap().unwrap().state, State::Pending);
        log.append(vec![story.signed()]).await.unwrap();
        let record = log.find(story.identity()).await.unwrap().unwrap();
        assert!(matches!(record.state, State::Signed { .. }), "{record:?}");
        let of = SignaturesOf { subject: record.subject, key: "release".parse().unwrap() };
        assert_eq!(log.signed(of.clone()).await.unwrap(), [story.signing()]);
        let other = SignaturesOf { key: "nightly".parse().unwrap(), ..of };
        assert_eq!(log.signed(other).await.unwrap(), []);
        log.append(vec![story.attached()]).await.unwrap();
        let record = log.record(story.id).await.unwrap().unwrap();
        assert!(matches!(record.state, State::Attached { .. }), "{record:?}");
        assert_eq!(log.find(story.identity()).await.unwrap(), Some(record));
    }
}

async fn a_signature_is_found_at_every_moment_while_the_index_follows(place: Place) {
    let log = place.log();
    sign_and_look(&log, 0..150).await;
    indexed(&log).await;
    for number in 0..150usize {
        let story = Story { digest: Digest::of(&number.to_be_bytes()), ..Story::new() };
        let record = log.find(story.identity()).await.unwrap().unwrap();
        assert!(matches!(record.state, State::Attached { .. }), "from the index alone: {record:?}");
    }
}

async fn an_index_that_is_made_again_answers_all_the_while_and_then_the_same(place: Place) {
    let mut random = StdRng::seed_from_u64(4);
    let entries = entries(&mut random, 3000);
    let log = place.log();
    logged(&log, &entries).await;
    let filter = EntryFilter { principal: Some("token:night".to_owned()), ..EntryFilter::default() };
    let question = EntryQuery { filter, size: Some(3000), limit: 1000, ..EntryQuery::default() };
    let before = indexes(&log, question.clone()).await;
    let done = AtomicBool::new(false);
    let asking = async {
        let mut asked = 0;
        while !done.load(Ordering::Relaxed) || asked == 0 {
            assert_eq!(indexes(&log, question.clone()).await, before, "nothing is lost meanwhile");
            asked += 1;
        }
    };
    let rebuilding = async {
        for round in 0..3 {
            log.rebuild();
            sign_and_look(&log, 20 * round..20 * (round + 1)).await;
        }
        done.store(true, Ordering::Relaxed);
    };
    futures::future::join(asking, rebuilding).await;
    indexed(&log).await;
    assert_eq!(indexes(&log, question).await, before);
    sign_and_look(&log, 60..63).await;
}

async fn a_first_page_speaks_of_what_is_indexed_and_later_pages_of_the_same(place: Place) {
    let log = place.log();
    log.append(vec![Story::new().intent(); 10]).await.unwrap();
    indexed(&log).await;
    let first = log.entries(EntryQuery { limit: 4, ..EntryQuery::default() }, Reach::whole()).await.unwrap();
    assert_eq!((first.size, first.next), (10, Some(4)));
    log.append(vec![Story::new().intent(); 10]).await.unwrap();
    indexed(&log).await;
    let second = EntryQuery { limit: 10, after: Some(3), size: Some(first.size), ..EntryQuery::default() };
    let second = log.entries(second, Reach::whole()).await.unwrap();
    assert_eq!((second.entries.len(), second.size, second.next), (6, 10, None));
    assert_eq!((second.progress.log_size, second.progress.indexed), (20, 20));
    assert_eq!(indexes(&log, all()).await.len(), 20);
}
