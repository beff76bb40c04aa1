//! Which execution of the timer drives an incident.

use super::{
    CLOSED_KEPT_DAYS, IncidentId, Ledger, PortError, Serialize, Timestamp, in_days, keys, put, read_or_default,
};

/// Counts the executions of one incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, serde::Deserialize)]
struct TimerCell {
    generation: u32,
}

impl Ledger {
    /// The generation of the execution that drives an incident, from 1.
    ///
    /// # Errors
    /// The table did not answer.
    pub async fn timer_generation(&self, id: IncidentId) -> Result<u32, PortError> {
        let key = keys::timer(id);
        let cell: TimerCell = read_or_default(self.table.get(std::slice::from_ref(&key)).await?.get(&key))?;
        Ok(cell.generation.max(1))
    }

    /// Counts one generation further, unless somebody did so since this one was read: a name that was used is refused for 90
    /// days, so an execution that died is followed by one of another name.
    ///
    /// # Errors
    /// The table did not answer.
    pub async fn next_timer(&self, id: IncidentId, dead: u32, now: Timestamp) -> Result<u32, PortError> {
        let key = keys::timer(id);
        let until = in_days(now, CLOSED_KEPT_DAYS);
        self.until_saved(std::slice::from_ref(&key), |found| {
            let cell: TimerCell = read_or_default(found.get(&key))?;
            if cell.generation.max(1) != dead {
                return Ok(Vec::new());
            }
            let next = TimerCell { generation: dead.saturating_add(1) };
            Ok(vec![put(key.clone(), &next, found.get(&key), Some(until))?])
        })
        .await?;
        self.timer_generation(id).await
    }
}
