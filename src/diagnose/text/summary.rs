//! The cause as a clause, by what was seen of it.

use super::super::{Cause, sentence};
use super::books::Sighting;
use super::signature::Component;

/// The clause. The weightiest sighting comes first.
pub(super) fn of(cause: Cause, sightings: &[Sighting]) -> &'static str {
    let retires = |sighting: &Sighting| {
        let evidence = sighting.evidence.to_ascii_lowercase();
        ["retire", "instance-stop"].iter().any(|word| evidence.contains(word))
    };
    let first = sightings.iter().find(|sighting| !sighting.over && sighting.cause == cause);
    match first {
        Some(first) if cause == Cause::PlatformHardware && first.id.starts_with("kernel.") => {
            "the kernel reports an error of the hardware that could not be corrected"
        }
        Some(first) if cause == Cause::PlatformHardware && retires(first) => {
            "AWS will retire or stop the hardware below the instance"
        }
        Some(first) if cause == Cause::PlatformHardware && first.component != Component::Ec2Status => {
            "the hardware below the instance is at fault"
        }
        Some(_) | None => sentence(cause),
    }
}

#[cfg(test)]
mod tests {
    use super::super::read;

    #[test]
    fn a_hardware_fault_is_told_as_it_was_seen() {
        for (text, words) in [
            ("[ 9.0] {1}[Hardware Error]: event severity: fatal", "the kernel reports"),
            (
                "{\"InstanceStatuses\":[{\"SystemStatus\":{\"Status\":\"impaired\"}}]}",
                "EC2's system status check fails",
            ),
            ("event: instance-retirement, the instance is running on degraded hardware", "AWS will retire"),
        ] {
            let answer = read(None, text.as_bytes());
            assert!(answer.summary.starts_with(words), "{text}: {}", answer.summary);
        }
    }
}
