//! The ledger as people read it: incidents in a list, with what their nodes showed. The function has no use for it.

use super::super::black_box::BlackBox;
use super::{Arc, Incident, IncidentId, KillSwitch, Ledger, PortError, incident_of, keys, read, switch_of};
use crate::storm::Bulletin;

impl Ledger {
    /// The open incidents, those that rest among them, the oldest first.
    ///
    /// # Errors
    /// The table did not answer, or a newer version wrote a record.
    pub async fn open_incidents(&self) -> Result<Vec<Arc<Incident>>, PortError> {
        let ids = self.open_entries().await?.into_iter().map(|(_, entry)| keys::incident(entry.peer.incident));
        let found = self.table.get(&ids.collect::<Vec<_>>()).await?;
        let read: Result<Vec<_>, _> = found.values().map(|stored| incident_of(Some(stored))).collect();
        let mut incidents: Vec<_> = read?.into_iter().flatten().filter(|incident| !incident.is_closed()).collect();
        incidents.sort_by_key(|incident| (incident.first_seen, incident.id));
        Ok(incidents)
    }

    /// Every incident that is still kept, the oldest first, and how many records cannot be read: a newer version wrote them, or they are damaged. It
    /// reads the whole table.
    ///
    /// # Errors
    /// The table did not answer.
    pub async fn all_incidents(&self) -> Result<(Vec<Arc<Incident>>, usize), PortError> {
        let records = self.table.everywhere("record").await?;
        let read = records.iter().map(|(_, stored)| incident_of(Some(stored)));
        let mut incidents: Vec<_> = read.filter_map(Result::ok).flatten().collect();
        incidents.sort_by_key(|incident| (incident.first_seen, incident.id));
        let unread = records.len().saturating_sub(incidents.len());
        Ok((incidents, unread))
    }

    /// What the node showed before each of an incident's disruptive effects.
    ///
    /// # Errors
    /// The table did not answer.
    pub async fn evidence_of(&self, id: IncidentId) -> Result<Vec<BlackBox>, PortError> {
        let items = self.table.query(&keys::incident(id).pk, "evidence#").await?;
        items.iter().map(|(key, stored)| read(key, stored)).collect()
    }

    /// The kill switch, and the account's record.
    ///
    /// # Errors
    /// The table did not answer.
    pub async fn standing(&self) -> Result<(KillSwitch, Arc<Bulletin>), PortError> {
        let (switch, bulletin) = (keys::switch(), keys::bulletin());
        let found = self.table.get(&[switch.clone(), bulletin.clone()]).await?;
        Ok((switch_of(found.get(&switch)), super::bulletin_of(found.get(&bulletin))?))
    }
}
