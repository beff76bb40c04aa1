//! The renderer's snapshots are the truth of what people read; its limits hold for any incident.

use super::samples;

/// The forms that people and machines read, one snapshot a kind.
#[test]
fn every_kind_of_report_reads_well() {
    for (name, tale) in samples::all() {
        let message = tale.message();
        let mail = format!(
            "Subject: {}\nSMS:     {}\n{}\n---\n{}",
            message.subject,
            message.sms,
            message.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" "),
            message.email
        );
        insta::assert_snapshot!(format!("{name}.email"), mail);
        insta::assert_json_snapshot!(format!("{name}.chat"), message.chat);
        insta::assert_json_snapshot!(format!("{name}.machine"), message.machine);
    }
}
