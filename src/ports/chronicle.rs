use crate::domain::Event;

/// What the service has to tell of itself: that it starts and stops, which policy is in force, which configuration.
pub trait Chronicle: Send + Sync {
    /// Has `event` logged, with the present time, in the order in which it was told. Never waits; where the log can not be
    /// written now, the entry is written when it can.
    fn tell(&self, event: Event);

    /// Names this process among replicas.
    fn instance(&self) -> &str;
}
