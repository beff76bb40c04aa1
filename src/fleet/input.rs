//! What a request asks for: a JSON object, or the pairs of a form.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::error::AwsError;
use super::protocol::Service;

/// The most pairs that a form may have; AWS's own lists end far earlier.
const PAIRS_MAX: usize = 10_000;

/// The object of an awsJson request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Body<'a> {
    map: &'a Map<String, Value>,
    service: Service,
}

impl<'a> Body<'a> {
    pub(super) fn new(map: &'a Map<String, Value>, service: Service) -> Self {
        Self { map, service }
    }

    fn value(self, field: &str) -> Option<&'a Value> {
        self.map.get(field).filter(|value| !value.is_null())
    }

    /// A text, when there is one.
    pub(super) fn text(self, field: &str) -> Result<Option<&'a str>, AwsError> {
        self.value(field).map(|value| value.as_str().ok_or_else(|| wrong_type(field))).transpose()
    }

    /// A text that must be there.
    pub(super) fn need_text(self, field: &str) -> Result<&'a str, AwsError> {
        self.text(field)?.ok_or_else(|| AwsError::missing(self.service, field))
    }

    /// A whole number, when there is one.
    pub(super) fn number(self, field: &str) -> Result<Option<i64>, AwsError> {
        self.value(field).map(|value| value.as_i64().ok_or_else(|| wrong_type(field))).transpose()
    }

    /// Yes or no, when it is there.
    pub(super) fn flag(self, field: &str) -> Result<Option<bool>, AwsError> {
        self.value(field).map(|value| value.as_bool().ok_or_else(|| wrong_type(field))).transpose()
    }

    /// A list of texts; empty when there is none.
    pub(super) fn texts(self, field: &str) -> Result<Vec<&'a str>, AwsError> {
        let list = self.list(field)?;
        list.iter().map(|value| value.as_str().ok_or_else(|| wrong_type(field))).collect()
    }

    /// A list of objects; empty when there is none.
    pub(super) fn objects(self, field: &str) -> Result<Vec<Self>, AwsError> {
        let list = self.list(field)?;
        let object = |value: &'a Value| {
            value.as_object().map(|map| Self { map, service: self.service }).ok_or_else(|| wrong_type(field))
        };
        list.iter().map(object).collect()
    }

    fn list(self, field: &str) -> Result<&'a [Value], AwsError> {
        match self.value(field) {
            None => Ok(&[]),
            Some(value) => value.as_array().map(Vec::as_slice).ok_or_else(|| wrong_type(field)),
        }
    }

    /// A map of lists of texts, as the parameters of a command are.
    pub(super) fn lists(self, field: &str) -> Result<BTreeMap<String, Vec<String>>, AwsError> {
        let Some(value) = self.value(field) else { return Ok(BTreeMap::new()) };
        let map = value.as_object().ok_or_else(|| wrong_type(field))?;
        let texts = |value: &Value| -> Option<Vec<String>> {
            value.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
        };
        map.iter().map(|(key, value)| Ok((key.clone(), texts(value).ok_or_else(|| wrong_type(field))?))).collect()
    }
}

fn wrong_type(field: &str) -> AwsError {
    AwsError::new("SerializationException", format!("the member {field} has a type that does not belong there"))
}

/// The pairs of a form: `InstanceId.1=…`, `Filter.1.Value.2=…`.
#[derive(Debug, Clone, Default)]
pub(super) struct Form {
    pairs: BTreeMap<String, String>,
    service: Option<Service>,
}

impl Form {
    /// Reads a form; none when it has too many pairs.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let pairs: BTreeMap<String, String> = form_urlencoded::parse(bytes).into_owned().take(PAIRS_MAX + 1).collect();
        (pairs.len() <= PAIRS_MAX).then_some(Self { pairs, service: None })
    }

    /// With the service whose words errors use.
    pub(super) fn of(mut self, service: Service) -> Self {
        self.service = Some(service);
        self
    }

    fn service(&self) -> Service {
        self.service.unwrap_or(Service::Ec2)
    }

    /// A text, when there is one.
    pub(super) fn text(&self, field: &str) -> Option<&str> {
        self.pairs.get(field).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// A text that must be there.
    pub(super) fn need_text(&self, field: &str) -> Result<&str, AwsError> {
        self.text(field).ok_or_else(|| AwsError::missing(self.service(), field))
    }

    /// Yes or no; no when it is not there.
    pub(super) fn flag(&self, field: &str) -> Result<bool, AwsError> {
        match self.text(field) {
            None | Some("false" | "False") => Ok(false),
            Some("true" | "True") => Ok(true),
            Some(other) => Err(AwsError::invalid(
                self.service(),
                format!("Invalid value '{}' for {field}. It must be true or false", shown(other)),
            )),
        }
    }

    /// A whole number, when there is one.
    pub(super) fn number(&self, field: &str) -> Result<Option<i64>, AwsError> {
        let Some(text) = self.text(field) else { return Ok(None) };
        text.parse()
            .map(Some)
            .map_err(|_| AwsError::invalid(self.service(), format!("Invalid value '{}' for {field}", shown(text))))
    }

    /// `field.1`, `field.2`, …, in the order of their numbers.
    pub(super) fn list(&self, field: &str) -> Vec<&str> {
        let mut found: Vec<(u32, &str)> = self
            .under(field)
            .filter_map(|(rest, value)| rest.parse().ok().map(|number: u32| (number, value)))
            .collect();
        found.sort_unstable_by_key(|(number, _)| *number);
        found.into_iter().map(|(_, value)| value).collect()
    }

    /// `field.1.…`, `field.2.…`, each as a form of its own.
    pub(super) fn forms(&self, field: &str) -> Vec<Self> {
        let mut found: BTreeMap<u32, Self> = BTreeMap::new();
        for (rest, value) in self.under(field) {
            if let Some((number, name)) = rest.split_once('.')
                && let Ok(number) = number.parse()
            {
                let form =
                    found.entry(number).or_insert_with(|| Self { pairs: BTreeMap::new(), service: self.service });
                form.pairs.insert(name.to_owned(), value.to_owned());
            }
        }
        found.into_values().collect()
    }

    fn under<'a>(&'a self, field: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.pairs
            .range(field.to_owned()..)
            .map_while(move |(key, value)| {
                let rest = key.strip_prefix(field)?;
                Some((rest, value.as_str()))
            })
            .filter_map(|(rest, value)| Some((rest.strip_prefix('.')?, value)))
    }

    /// What is asked for, without the names of the operation and its version.
    pub(super) fn told(&self) -> String {
        let asked = self.pairs.iter().filter(|(key, _)| !matches!(key.as_str(), "Action" | "Version"));
        let map: Map<String, Value> = asked.map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect();
        Value::Object(map).to_string()
    }

    /// Every value, for the log of calls.
    pub(super) fn values(&self) -> impl Iterator<Item = &str> {
        self.pairs.values().map(String::as_str)
    }
}

/// The beginning of a text that nobody checked, fit for a message.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(60).map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_come_in_the_order_of_their_numbers_and_not_of_their_text() {
        let pairs: Vec<String> = (1..=12).map(|n| format!("InstanceId.{n}=i-{n}")).collect();
        let text = pairs.join("&");
        let form = Form::read(text.as_bytes()).unwrap();
        assert_eq!(form.list("InstanceId").last(), Some(&"i-12"));
        assert_eq!(form.list("InstanceId").get(1), Some(&"i-2"));
        assert!(form.list("Instance").is_empty());
    }

    #[test]
    fn filters_are_forms_of_their_own() {
        let form =
            Form::read(b"Filter.1.Name=tag%3AName&Filter.1.Value.1=a&Filter.1.Value.2=b&Filter.2.Name=x").unwrap();
        let filters = form.forms("Filter");
        assert_eq!(filters.len(), 2);
        assert_eq!((filters[0].text("Name"), filters[0].list("Value")), (Some("tag:Name"), vec!["a", "b"]));
    }

    #[test]
    fn a_form_without_end_is_turned_away() {
        let pairs: Vec<String> = (0..20_000).map(|n| format!("a{n}=")).collect();
        let text = pairs.join("&");
        assert!(Form::read(text.as_bytes()).is_none());
    }
}
