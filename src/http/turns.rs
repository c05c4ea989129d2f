//! What there is a limited amount of, shared fairly.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::time::{Duration, Instant};

use crate::metrics::Metrics;

/// Shares slots and bytes between principals: whoever holds least is next, and among those who hold the same, whoever has
/// waited longest. A principal alone can have everything; while others are there, it gets no more slots once it holds its
/// share of them. What is under way can not be hurried, and so the less of it there is, the sooner others are answered.
///
/// So many wait as the queue has places. When it is full, a newcomer takes the place of the last who came of
/// those with most places, unless it has as many itself: a flood keeps nobody else out.
#[derive(Clone)]
pub struct Turns {
    state: Arc<Mutex<State>>,
    metrics: Arc<Metrics>,
}

/// What is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// One for each operation that is under way.
    Slots = 0,
    /// In KiB.
    Bytes = 1,
}

/// Something that is held, until it is dropped.
pub struct Turn {
    turns: Turns,
    what: What,
    units: usize,
    principal: Arc<str>,
}

/// There is no place left in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueFull;

struct State {
    all: [usize; 2],
    free: [usize; 2],
    /// What one principal may have while others are there.
    share: [usize; 2],
    queue: usize,
    waiting: [usize; 2],
    /// Counted up.
    tickets: u64,
    /// Who asked last, and who of the others did, and when.
    last: [Option<(Arc<str>, Instant)>; 2],
    /// Those who hold something or wait; nobody else is remembered.
    principals: HashMap<Arc<str>, Share>,
}

#[derive(Default)]
struct Share {
    held: [usize; 2],
    /// The longest waiting first.
    waiting: [VecDeque<Waiter>; 2],
}

struct Waiter {
    ticket: u64,
    units: usize,
    turn: oneshot::Sender<Turn>,
}

impl Turns {
    /// `share`: the slots of one principal while others are there.
    pub fn new(slots: usize, share: usize, kibibytes: usize, queue: usize, metrics: Arc<Metrics>) -> Self {
        let all = [slots, kibibytes];
        let share = [share.min(slots), kibibytes];
        let state = State {
            all,
            free: all,
            share,
            queue,
            waiting: [0; 2],
            tickets: 0,
            last: [None, None],
            principals: HashMap::new(),
        };
        Self { state: Arc::new(Mutex::new(state)), metrics }
    }

    /// Waits for `units`. More than there are is all that there are.
    ///
    /// # Errors
    /// At once where the queue has no place; later where somebody else gets the place.
    pub async fn get(&self, what: What, units: usize, principal: &str) -> Result<Turn, QueueFull> {
        let (turn, place) = {
            let mut state = self.state();
            let units = units.min(state.all[what as usize]);
            let principal = state.name(principal);
            state.asked(&principal);
            if state.is_free(what, units, &principal) {
                state.hold(what, units, &principal);
                return Ok(Turn { turns: self.clone(), what, units, principal });
            }
            let (turn, granted) = oneshot::channel();
            let ticket = state.wait(what, units, &principal, turn)?;
            self.count(&state);
            (granted, Place { turns: self, what, principal, ticket })
        };
        let turn = turn.await;
        drop(place);
        turn.map_err(|_| QueueFull)
    }

    /// Gives turns to those who are next, while there is something to give.
    fn go_on(&self, what: What) {
        let mut given = Vec::new();
        let mut state = self.state();
        while let Some((principal, waiter)) = state.next(what) {
            let turn = Turn { turns: self.clone(), what, units: waiter.units, principal };
            given.push((waiter.turn, turn));
        }
        self.count(&state);
        drop(state);
        for (waiter, turn) in given {
            // Somebody who has gone away meanwhile gives it back.
            drop(waiter.send(turn));
        }
    }

    fn count(&self, state: &State) {
        let waiting: usize = state.waiting.iter().sum();
        self.metrics.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} of {}", self.units, self.what, self.principal)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.turns.state();
        state.free[self.what as usize] += self.units;
        state.change(&self.principal, |share| share.held[self.what as usize] -= self.units);
        drop(state);
        self.turns.go_on(self.what);
    }
}

/// Who has asked so long ago is there no more.
const MOMENT: Duration = Duration::from_secs(2);

/// A place in the queue; given back however the waiting ends.
struct Place<'a> {
    turns: &'a Turns,
    what: What,
    principal: Arc<str>,
    ticket: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let what = self.what as usize;
        let mut state = self.turns.state();
        let mut left = 0;
        state.change(&self.principal, |share| {
            let before = share.waiting[what].len();
            share.waiting[what].retain(|waiter| waiter.ticket != self.ticket);
            left = before - share.waiting[what].len();
        });
        if left == 0 {
            return;
        }
        state.waiting[what] -= left;
        self.turns.count(&state);
        drop(state);
        // Those behind may need less.
        self.turns.go_on(self.what);
    }
}

impl State {
    /// The principal's name, kept once.
    fn name(&self, principal: &str) -> Arc<str> {
        self.principals.get_key_value(principal).map_or_else(|| principal.into(), |(name, _)| name.clone())
    }

    /// Remembers who is there.
    fn asked(&mut self, principal: &Arc<str>) {
        let now = Instant::now();
        match &mut self.last {
            [Some((last, at)), _] if last == principal => *at = now,
            [last, other] => {
                *other = last.take();
                *last = Some((principal.clone(), now));
            }
        }
    }

    /// Whether others than `principal` have asked for something a moment ago.
    fn has_others(&self, principal: &Arc<str>) -> bool {
        let others = self.last.iter().flatten().filter(|(name, _)| name != principal);
        others.into_iter().any(|(_, at)| at.elapsed() < MOMENT)
    }

    /// Whether nobody waits who is before `principal`, and there is enough.
    fn is_free(&self, what: What, units: usize, principal: &Arc<str>) -> bool {
        let what = what as usize;
        let held = self.principals.get(principal).map_or(0, |share| share.held[what]);
        let own = self.principals.get(principal).map_or(0, |share| share.waiting[what].len());
        // Others that wait although something is free have their share.
        let is_next = own == 0 && (what == What::Slots as usize || self.waiting[what] == 0);
        is_next && self.free[what] >= units && (held < self.share[what] || !self.has_others(principal))
    }

    fn hold(&mut self, what: What, units: usize, principal: &Arc<str>) {
        self.free[what as usize] -= units;
        self.change(principal, |share| share.held[what as usize] += units);
    }

    /// Takes a place in the queue, and says by which ticket.
    fn wait(
        &mut self,
        what: What,
        units: usize,
        principal: &Arc<str>,
        turn: oneshot::Sender<Turn>,
    ) -> Result<u64, QueueFull> {
        if self.waiting.iter().sum::<usize>() >= self.queue {
            self.make_room_for(principal)?;
        }
        self.tickets += 1;
        let ticket = self.tickets;
        self.waiting[what as usize] += 1;
        self.change(principal, |share| {
            share.waiting[what as usize].push_back(Waiter { ticket, units, turn });
        });
        Ok(ticket)
    }

    /// Sends the last of those away who have most places.
    fn make_room_for(&mut self, newcomer: &Arc<str>) -> Result<(), QueueFull> {
        let own = self.principals.get(newcomer).map_or(0, Share::places);
        let (longest, places) = self
            .principals
            .iter()
            .map(|(name, share)| (name, share.places()))
            .max_by_key(|(_, places)| *places)
            .ok_or(QueueFull)?;
        if places <= own + 1 {
            return Err(QueueFull);
        }
        let longest = longest.clone();
        let mut what = 0;
        self.change(&longest, |share| {
            let last = |what: usize| share.waiting[what].back().map(|waiter| waiter.ticket);
            what = usize::from(last(1) > last(0));
            // Dropped, which tells whoever waits.
            share.waiting[what].pop_back();
        });
        self.waiting[what] -= 1;
        Ok(())
    }

    /// Who is next and can have what is asked for; it is taken already.
    fn next(&mut self, what: What) -> Option<(Arc<str>, Waiter)> {
        if self.waiting[what as usize] == 0 {
            return None;
        }
        let first = |(name, share): (&'_ Arc<str>, &Share)| {
            let waiter = share.waiting[what as usize].front()?;
            let held = share.held[what as usize];
            let may = held < self.share[what as usize] || !self.has_others(name);
            may.then(|| ((held, waiter.ticket, waiter.units), name.clone()))
        };
        let waiting = self.principals.iter().filter_map(first);
        // No two have the same ticket.
        let ((_, _, units), name) = waiting.min_by_key(|(order, _)| *order)?;
        if units > self.free[what as usize] {
            return None;
        }
        let waiter = self.principals.get_mut(&name)?.waiting[what as usize].pop_front()?;
        self.waiting[what as usize] -= 1;
        self.hold(what, units, &name);
        Some((name, waiter))
    }

    fn change(&mut self, principal: &Arc<str>, change: impl FnOnce(&mut Share)) {
        let share = self.principals.entry(principal.clone()).or_default();
        change(share);
        if share.held == [0; 2] && share.places() == 0 {
            self.principals.remove(principal);
        }
    }
}

impl Share {
    fn places(&self) -> usize {
        self.waiting.iter().map(VecDeque::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use futures::FutureExt as _;

    use super::*;

    type Waiting = Pin<Box<dyn Future<Output = Result<Turn, QueueFull>>>>;

    fn turns(slots: usize, queue: usize) -> Turns {
        Turns::new(slots, slots, 10, queue, Arc::new(Metrics::new()))
    }

    /// Asks for something and begins to wait.
    fn ask(turns: &Turns, what: What, units: usize, principal: &'static str) -> Waiting {
        let turns = turns.clone();
        let mut waiting: Waiting = Box::pin(async move { turns.get(what, units, principal).await });
        assert!((&mut waiting).now_or_never().is_none(), "{principal} had not to wait");
        waiting
    }

    fn slot(turns: &Turns, principal: &'static str) -> Waiting {
        ask(turns, What::Slots, 1, principal)
    }

    fn holds(turns: &Turns, principal: &str) -> Turn {
        turns.get(What::Slots, 1, principal).now_or_never().expect("there is a slot").unwrap()
    }

    /// Whose turn has come, of those that wait.
    fn served(waiting: &mut [Waiting]) -> Vec<(usize, Turn)> {
        let ready = waiting.iter_mut().enumerate();
        ready.filter_map(|(n, one)| Some((n, one.now_or_never()?.unwrap()))).collect()
    }

    #[test]
    fn a_principal_alone_gets_everything() {
        let turns = turns(3, 2);
        let held = [holds(&turns, "a"), holds(&turns, "a"), holds(&turns, "a")];
        let _waiting = [slot(&turns, "a"), slot(&turns, "a")];
        assert_eq!(turns.get(What::Slots, 1, "a").now_or_never().unwrap().err(), Some(QueueFull));
        drop(held);
    }

    #[test]
    fn whoever_holds_least_is_next_however_many_others_came_before() {
        let turns = turns(2, 100);
        let (first, second) = (holds(&turns, "flood"), holds(&turns, "flood"));
        let mut flood: Vec<_> = (0..50).map(|_| slot(&turns, "flood")).collect();
        let mut one = [slot(&turns, "one")];
        drop(first);
        let served_one = served(&mut one);
        assert_eq!(served_one.len(), 1);
        assert!(served(&mut flood).is_empty());
        drop(second);
        let of_flood = served(&mut flood);
        assert_eq!(of_flood.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [0], "the longest waiting");
    }

    #[tokio::test(start_paused = true)]
    async fn while_others_are_there_a_principal_gets_its_share_and_no_more() {
        let turns = Turns::new(10, 2, 10, 100, Arc::new(Metrics::new()));
        let mut flood: Vec<_> = (0..10).map(|_| holds(&turns, "flood")).collect();
        let mut more: Vec<_> = (0..5).map(|_| slot(&turns, "flood")).collect();
        let mut one = [slot(&turns, "one")];
        drop(flood.pop());
        let of_one = served(&mut one);
        assert_eq!(of_one.len(), 1);
        // What it holds beyond its share comes back, and is there for others at once.
        flood.truncate(2);
        assert!(served(&mut more).is_empty());
        let others: Vec<_> = ["one", "two", "two"].iter().map(|name| holds(&turns, name)).collect();
        let mut beyond = [slot(&turns, "two")];
        flood.pop();
        let mut again = served(&mut more[..1]);
        assert_eq!((again.len(), served(&mut beyond).len()), (1, 0));
        drop((of_one, others));
        assert_eq!(served(&mut beyond).len(), 1);
        // Once nobody else has asked for a while, everything is there for one.
        tokio::time::advance(MOMENT).await;
        drop(again.pop());
        assert_eq!(served(&mut more[1..]).len(), 4);
    }

    #[test]
    fn principals_take_turns() {
        let turns = turns(1, 100);
        let mut held = holds(&turns, "z");
        let mut waiting: Vec<Waiting> = Vec::new();
        for principal in ["a", "a", "a", "b", "b", "c"] {
            waiting.push(slot(&turns, principal));
        }
        // Everybody holds nothing when the slot becomes free: the longest waiting is next.
        let mut order = Vec::new();
        for _ in 0..6 {
            drop(held);
            let mut now = Vec::new();
            for (n, one) in
                waiting.iter_mut().enumerate().filter(|(n, _)| !order.contains(n)).collect::<Vec<_>>()
            {
                now.extend(one.now_or_never().map(|turn| (n, turn.unwrap())));
            }
            let (n, turn) = now.pop().unwrap();
            assert!(now.is_empty());
            order.push(n);
            held = turn;
        }
        assert_eq!(order, [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_flood_that_fills_the_queue_gives_way_to_others_by_its_last() {
        let turns = turns(1, 4);
        let held = holds(&turns, "flood");
        let mut flood: Vec<_> = (0..4).map(|_| slot(&turns, "flood")).collect();
        assert!(turns.get(What::Slots, 1, "flood").now_or_never().unwrap().is_err());
        let mut one = [slot(&turns, "one"), slot(&turns, "one")];
        for _ in 0..2 {
            let last = flood.pop().unwrap().now_or_never().expect("it was sent away");
            assert_eq!(last.err(), Some(QueueFull));
        }
        // Now they have two places each.
        assert!(turns.get(What::Slots, 1, "one").now_or_never().unwrap().is_err());
        assert!(turns.get(What::Slots, 1, "flood").now_or_never().unwrap().is_err());
        drop(held);
        assert_eq!(served(&mut flood).len(), 1, "it was the longest waiting");
        drop(flood);
        assert_eq!(served(&mut one[..1]).len(), 1);
    }

    #[test]
    fn who_goes_away_leaves_place_and_turn_to_others_and_nobody_is_remembered() {
        let turns = turns(1, 2);
        let held = holds(&turns, "a");
        let gone = slot(&turns, "b");
        drop(gone);
        let (mut gone_late, mut next) = (slot(&turns, "c"), [slot(&turns, "d")]);
        drop(held);
        // Its turn has come, and it goes away without looking.
        assert!(served(&mut next).is_empty());
        gone_late.as_mut().now_or_never().unwrap().map(drop).unwrap();
        drop(gone_late);
        drop(served(&mut next));
        let state = turns.state();
        assert!(state.principals.is_empty() && state.waiting == [0; 2] && state.free == state.all);
    }

    #[test]
    fn a_turn_that_nobody_takes_goes_to_the_next() {
        let turns = turns(1, 2);
        let held = holds(&turns, "a");
        let (gone, mut next) = (slot(&turns, "b"), [slot(&turns, "c")]);
        drop(held);
        drop(gone);
        assert_eq!(served(&mut next).len(), 1);
    }

    #[test]
    fn large_and_small_shares_of_the_bytes_go_by_who_holds_least() {
        let turns = turns(1, 9);
        let get = |units| turns.get(What::Bytes, units, "a").now_or_never().unwrap().unwrap();
        let (small, large) = (get(4), get(6));
        let mut waiting = [("b", 1000), ("a", 1), ("c", 1)]
            .map(|(principal, units)| ask(&turns, What::Bytes, units, principal));
        drop(large);
        // The large one is next, and waits until there is room for it: nobody overtakes it for ever.
        assert!(served(&mut waiting).is_empty());
        drop(small);
        let all = served(&mut waiting[..1]).pop().expect("more than all is all");
        assert!(served(&mut waiting[1..]).is_empty());
        drop(all);
        assert_eq!(served(&mut waiting[1..]).len(), 2);
    }
}
