//! How many connections there may be at once, and who has to go when one more comes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::watch::Watch;

/// The connections of one listener.
pub(super) struct Crowd {
    seats: Arc<Semaphore>,
    present: Arc<Present>,
    next: AtomicU64,
}

/// One connection's place. It is free again when this value goes.
pub(super) struct Seat {
    pub(super) peer: IpAddr,
    pub(super) watch: Arc<Watch>,
    leave: CancellationToken,
    number: u64,
    present: Arc<Present>,
    _permit: OwnedSemaphorePermit,
}

/// By number, which grows.
type Present = Mutex<HashMap<u64, Guest>>;

struct Guest {
    peer: IpAddr,
    watch: Arc<Watch>,
    leave: CancellationToken,
}

impl Crowd {
    pub(super) fn new(seats: usize) -> Self {
        Self {
            seats: Arc::new(Semaphore::new(seats.min(Semaphore::MAX_PERMITS))),
            present: Arc::default(),
            next: AtomicU64::new(0),
        }
    }

    /// A seat, as soon as there is one. Where all are taken, a connection without a request under way makes room; not one
    /// that has just come or has just been answered, whose next request may be on its way.
    pub(super) async fn enter(&self, peer: IpAddr, watch: Arc<Watch>) -> Seat {
        let permit = self.permit().await;
        let (number, leave) = (self.next.fetch_add(1, Ordering::Relaxed), CancellationToken::new());
        let guest = Guest { peer, watch: watch.clone(), leave: leave.clone() };
        lock(&self.present).insert(number, guest);
        Seat { peer, watch, leave, number, present: self.present.clone(), _permit: permit }
    }

    async fn permit(&self) -> OwnedSemaphorePermit {
        loop {
            if let Ok(permit) = self.seats.clone().try_acquire_owned() {
                return permit;
            }
            self.send_one_away();
            // All may be busy now, and one of them idle in a moment.
            let freed = self.seats.clone().acquire_owned();
            if let Ok(Ok(permit)) = tokio::time::timeout(LOOK_AGAIN, freed).await {
                return permit;
            }
        }
    }

    /// Of those that do nothing, the one that has done nothing for longest, of the peer that has most connections: whoever
    /// takes all seats loses one of them, and nobody else does.
    fn send_one_away(&self) {
        let present = lock(&self.present);
        let mut of_peer = HashMap::<IpAddr, usize>::new();
        for guest in present.values() {
            *of_peer.entry(guest.peer).or_default() += 1;
        }
        let idle = present.values().filter(|guest| !guest.leave.is_cancelled());
        let idle = idle.filter_map(|guest| Some((guest, guest.watch.idle_since()?)));
        let first = idle.min_by_key(|(guest, since)| {
            (std::cmp::Reverse(of_peer.get(&guest.peer).copied().unwrap_or_default()), *since)
        });
        if let Some((guest, since)) = first
            && since.elapsed() >= GRACE
        {
            guest.leave.cancel();
        }
    }
}

impl Seat {
    /// Ends when this connection has to make room.
    pub(super) async fn wanted(&self) {
        self.leave.cancelled().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        lock(&self.present).remove(&self.number);
    }
}

fn lock(present: &Present) -> MutexGuard<'_, HashMap<u64, Guest>> {
    present.lock().unwrap_or_else(PoisonError::into_inner)
}

const GRACE: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    const GREEDY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const MODEST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    fn watch() -> Arc<Watch> {
        Arc::new(Watch::new(Duration::from_secs(10), Duration::from_secs(75)))
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_takes_all_seats_loses_the_idlest_of_them_and_nobody_else_does() {
        let crowd = Crowd::new(3);
        let modest = crowd.enter(MODEST, watch()).await;
        tokio::time::advance(Duration::from_secs(1)).await;
        let busy = crowd.enter(GREEDY, watch()).await;
        let request = busy.watch.begin(false);
        tokio::time::advance(Duration::from_secs(1)).await;
        let idle = crowd.enter(GREEDY, watch()).await;
        let gone = async {
            idle.wanted().await;
            // Whoever has just come may be about to ask.
            assert!(idle.watch.idle_since().unwrap().elapsed() >= GRACE);
            drop(idle);
        };
        let (seat, ()) = tokio::join!(crowd.enter(MODEST, watch()), gone);
        assert!(!modest.leave.is_cancelled() && !busy.leave.is_cancelled() && !seat.leave.is_cancelled());
        drop(request);
    }

    #[tokio::test(start_paused = true)]
    async fn where_all_are_busy_the_next_waits_for_one_that_ends() {
        let crowd = Crowd::new(1);
        let busy = crowd.enter(GREEDY, watch()).await;
        let request = busy.watch.begin(false);
        let waiting = tokio::time::timeout(Duration::from_secs(60), crowd.enter(MODEST, watch())).await;
        assert!(waiting.is_err() && !busy.leave.is_cancelled());
        drop(request);
        let (_, ()) = tokio::join!(crowd.enter(MODEST, watch()), async {
            busy.wanted().await;
            drop(busy);
        });
    }
}
