//! Whether clocks go on as the log does.

use std::time::Duration;

use crate::domain::Timestamp;
use crate::metrics::Metrics;

/// Remembers how late it was by the entries that were written. The order of the log is that of its indexes, whatever clocks
/// say; but who asks for a period is misled by a clock that was set back.
#[derive(Debug, Default)]
pub(super) struct ClockWatch {
    latest: Option<Timestamp>,
    behind: bool,
}

impl ClockWatch {
    /// How far clocks may be behind each other: those of replicas differ, and requests wait for the writer.
    const TOLERANCE: Duration = Duration::from_secs(30);

    /// Goes on after an entry of `latest`.
    pub(super) const fn after(latest: Option<Timestamp>) -> Self {
        Self { latest, behind: false }
    }

    /// Entries of these times were written. Says once that the clock is behind by more than is usual, and once that it has
    /// caught up; the metric always tells by how much.
    pub(super) fn written(&mut self, times: impl IntoIterator<Item = Timestamp>, metrics: &Metrics) {
        let Some(newest) = times.into_iter().max() else { return };
        let behind = self.latest.map_or(Duration::ZERO, |latest| {
            Duration::try_from(latest.duration_since(newest)).unwrap_or_default()
        });
        self.latest = self.latest.max(Some(newest));
        metrics.log_clock_behind(behind);
        let is_behind = behind > Self::TOLERANCE;
        match (std::mem::replace(&mut self.behind, is_behind), is_behind) {
            (false, true) => tracing::error!(
                seconds = behind.as_secs(),
                "the clock is behind what the log has: it was set back, or another replica's is ahead. Entries keep their \
                 order, and their times are wrong until it is mended"
            ),
            (true, false) => tracing::info!("the clock is no longer behind what the log has"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn behind(metrics: &Metrics) -> String {
        let text = metrics.encode();
        let line = text.lines().find(|line| line.starts_with("signet_log_clock_behind_seconds "));
        line.unwrap().rsplit(' ').next().unwrap().to_owned()
    }

    #[test]
    fn a_clock_that_was_set_back_is_told_until_it_has_caught_up() {
        let metrics = Metrics::new();
        let mut watch = ClockWatch::after(Some(at(1000)));
        for (written, seconds, told) in [
            (&[][..], "0", false),
            (&[990, 995], "5", false),
            (&[969], "31", true),
            (&[400, 500], "500", true),
            (&[1001], "0", false),
            (&[1000], "1", false),
        ] {
            watch.written(written.iter().map(|second| at(*second)), &metrics);
            assert_eq!((behind(&metrics).as_str(), watch.behind), (seconds, told), "{written:?}");
        }
    }
}
