//! What the ledger remembers of the policy document.

use super::{Ledger, PortError, Serialize, Timestamp, keys, put, put_anyway, read, read_or_default};
use crate::aws::table::Transacted;
use crate::policy::standing::{News, Remembered};

/// Something to tell, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
struct NewsItem {
    at: Timestamp,
    news: News,
}

impl Ledger {
    /// What is remembered of the document.
    ///
    /// # Errors
    /// The table did not answer.
    pub async fn remembered(&self) -> Result<Remembered, PortError> {
        let key = keys::policy();
        read_or_default(self.table.get(std::slice::from_ref(&key)).await?.get(&key))
    }

    /// Remembers this from now on, with its news, unless somebody else was faster. Says whether it was saved.
    ///
    /// # Errors
    /// The table did not answer.
    pub async fn remember(&self, next: &Remembered, news: Option<&News>, now: Timestamp) -> Result<bool, PortError> {
        let key = keys::policy();
        let found = self.table.get(std::slice::from_ref(&key)).await?;
        let stored: Remembered = read_or_default(found.get(&key))?;
        if next.version != stored.version.saturating_add(1) {
            return Ok(false);
        }
        let mut writes = vec![put(key.clone(), next, found.get(&key), None)?];
        if let Some(news) = news {
            writes.push(put_anyway(keys::policy_news(next.version), &NewsItem { at: now, news: news.clone() })?);
        }
        match self.table.transact(&writes).await? {
            Transacted::Saved => Ok(true),
            Transacted::Again => Ok(false),
            // Whoever cannot save leaves it to the next pass.
            Transacted::Unknown => Err(PortError::Transient),
        }
    }

    /// What there was to tell of the document, in order.
    pub(super) async fn policy_news(&self) -> Result<Vec<(Timestamp, News)>, PortError> {
        let items = self.table.query(keys::POLICY_NEWS, "").await?;
        items.iter().map(|(key, stored)| read(key, stored).map(|item: NewsItem| (item.at, item.news))).collect()
    }
}
