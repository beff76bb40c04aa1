//! The stored form of an incident: JSON with a schema number, which is read before anything else.
//!
//! An older record is migrated step by step when it is read; a newer one is left alone, since whoever wrote it knows more
//! (CONTRACT.md). Fields that this program does not know are ignored: a roll-back within one schema loses nothing.

use serde::Deserialize;
use serde_json::Value;
use serde_json::error::Category;

use super::{Incident, SCHEMA};

/// The oldest schema that can still be read. There never was a schema 0, so a record that claims it was not written by
/// Defib: it is an error rather than a guess.
pub const OLDEST: u32 = 1;

/// Turns a record of one schema into one of the next. It only moves values about, and so cannot fail; what it makes is
/// checked by reading it.
type Step = fn(&mut Value);

/// One step for each schema from [`OLDEST`] on: raising [`SCHEMA`] without writing its step does not compile.
const STEPS: [Step; (SCHEMA - OLDEST) as usize] = [];

/// Why a stored incident cannot be used.
///
/// It never echoes what was stored: that may hold what a node printed, and ends in a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRecord {
    /// A newer version wrote it: it is left alone.
    #[error(
        "the stored incident has schema {found}, and this version of defib knows {known}; a newer version wrote it"
    )]
    Newer {
        /// Its schema.
        found: u32,
        /// The newest schema known here.
        known: u32,
    },
    /// No version of Defib wrote it, or one that is too old to be migrated.
    #[error("the stored incident has schema {found}, and the oldest that can be read is {oldest}")]
    TooOld {
        /// Its schema.
        found: u32,
        /// The oldest schema that can be read.
        oldest: u32,
    },
    /// It is not an incident.
    #[error("the stored incident is {what} at line {line}, column {column}")]
    Malformed {
        /// What is wrong with it, in general.
        what: &'static str,
        /// Where, from 1; 0 where no place can be named.
        line: usize,
        /// Where in the line.
        column: usize,
    },
    /// It could not be written.
    #[error("the incident could not be put into its stored form")]
    Unwritable,
}

/// The schema, whatever else there is.
#[derive(Deserialize)]
struct Head {
    schema: u32,
}

/// The stored form of an incident.
///
/// # Errors
/// None in fact: every incident can be written. The caller learns it all the same if that should ever change.
pub fn write(incident: &Incident) -> Result<String, BadRecord> {
    serde_json::to_string(incident).map_err(|_| BadRecord::Unwritable)
}

/// Reads a stored incident.
///
/// # Errors
/// A newer or a too old schema, or anything that is not an incident.
pub fn read(bytes: &[u8]) -> Result<Incident, BadRecord> {
    let Head { schema } = serde_json::from_slice(bytes).map_err(|error| malformed(&error))?;
    if schema == SCHEMA {
        return serde_json::from_slice(bytes).map_err(|error| malformed(&error));
    }
    let steps = steps_from(schema, &STEPS)?;
    let mut value = serde_json::from_slice(bytes).map_err(|error| malformed(&error))?;
    migrate(&mut value, schema, steps);
    // Written out once more: a reader of values would be a second copy of all that reads an incident.
    let bytes = serde_json::to_vec(&value).map_err(|error| malformed(&error))?;
    serde_json::from_slice(&bytes).map_err(|error| malformed(&error))
}

/// The steps that a record of this schema still has to take.
fn steps_from(found: u32, steps: &[Step]) -> Result<&[Step], BadRecord> {
    let known = OLDEST.saturating_add(u32::try_from(steps.len()).unwrap_or(u32::MAX));
    if found > known {
        return Err(BadRecord::Newer { found, known });
    }
    let taken = found.checked_sub(OLDEST).and_then(|taken| usize::try_from(taken).ok());
    taken.and_then(|taken| steps.get(taken..)).ok_or(BadRecord::TooOld { found, oldest: OLDEST })
}

/// Takes the steps, and writes the schema that each leads to.
fn migrate(value: &mut Value, found: u32, steps: &[Step]) {
    for (step, schema) in steps.iter().zip(found.saturating_add(1)..) {
        step(value);
        if let Some(record) = value.as_object_mut() {
            record.insert("schema".to_owned(), Value::from(schema));
        }
    }
}

fn malformed(error: &serde_json::Error) -> BadRecord {
    let what = match error.classify() {
        Category::Eof => "cut short",
        Category::Syntax => "not JSON",
        Category::Data => "not of the expected form",
        Category::Io => "unreadable",
    };
    BadRecord::Malformed { what, line: error.line(), column: error.column() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::report::samples;

    fn stored() -> Value {
        serde_json::from_str(&write(&samples::fixed().incident).unwrap()).unwrap()
    }

    fn with(field: &str, value: Value) -> Vec<u8> {
        let mut record = stored();
        record[field] = value;
        serde_json::to_vec(&record).unwrap()
    }

    #[test]
    fn every_sample_reads_back_as_it_was() {
        for (name, tale) in samples::all() {
            let text = write(&tale.incident).unwrap();
            assert_eq!(read(text.as_bytes()).as_ref(), Ok(&tale.incident), "{name}");
        }
    }

    #[test]
    fn a_newer_record_is_left_alone_even_when_its_form_is_unknown() {
        let error = read(br#"{"schema": 7, "everything": "is different"}"#).unwrap_err();
        assert_eq!(error, BadRecord::Newer { found: 7, known: SCHEMA });
        assert_eq!(
            error.to_string(),
            "the stored incident has schema 7, and this version of defib knows 1; a newer version wrote it"
        );
    }

    #[test]
    fn there_never_was_a_schema_zero() {
        assert_eq!(read(&with("schema", json!(0))), Err(BadRecord::TooOld { found: 0, oldest: 1 }));
    }

    #[test]
    fn fields_that_are_not_known_are_ignored() {
        assert_eq!(read(&with("mood", json!("calm"))).unwrap(), samples::fixed().incident);
    }

    #[test]
    fn a_malformed_record_is_named_by_place_and_never_by_content() {
        let bad = [
            b"".to_vec(),
            b"{".to_vec(),
            b"null".to_vec(),
            b"{\"schema\": \"hunter2\"}".to_vec(),
            b"{\"schema\": -1}".to_vec(),
            b"{\"hunter2\": 1}".to_vec(),
            with("node", json!("hunter2")),
            with("phase", json!({"name": "hunter2"})),
            with("history", json!([{"at": "hunter2"}])),
        ];
        for bytes in bad {
            let error = read(&bytes).unwrap_err();
            assert!(matches!(error, BadRecord::Malformed { .. }), "{error:?}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        let error = read(b"{\"schema\": 1,\n\"id\": 5}").unwrap_err();
        assert_eq!(error.to_string(), "the stored incident is not of the expected form at line 2, column 7");
    }

    #[test]
    fn an_older_record_takes_each_step_that_it_lacks_and_no_other() {
        let steps: [Step; 2] = [
            |record| record["steps"] = json!(["one"]),
            |record| {
                if let Some(steps) = record["steps"].as_array_mut() {
                    steps.push(json!("two"));
                } else {
                    record["steps"] = json!(["only two"]);
                }
            },
        ];
        for (found, took) in [(1, json!(["one", "two"])), (2, json!(["only two"])), (3, json!(null))] {
            let mut record = json!({ "schema": found });
            migrate(&mut record, found, steps_from(found, &steps).unwrap());
            assert_eq!((&record["steps"], &record["schema"]), (&took, &json!(3)));
        }
        assert_eq!(steps_from(4, &steps), Err(BadRecord::Newer { found: 4, known: 3 }));
        assert_eq!(steps_from(0, &steps), Err(BadRecord::TooOld { found: 0, oldest: 1 }));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_are_an_incident_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(read(&bytes).is_err());
        }

        #[test]
        fn a_record_cut_short_is_an_error(kept in 0_usize..400) {
            let text = write(&samples::cycled().incident).unwrap();
            prop_assert!(read(&text.as_bytes()[..kept.min(text.len() - 1)]).is_err());
        }
    }
}
