//! The cause as a clause, by what was seen of it.

use super::super::{Cause, sentence};
use super::books::Sighting;
use super::signature::Component;

/// The clause. The weightiest sighting comes first.
pub(super) fn of(cause: Cause, sightings: &[Sighting]) -> &'static str {
    let first = sightings.iter().find(|sighting| !sighting.over && sighting.cause == cause);
    match first {
        Some(first) if cause == Cause::PlatformHardware && first.id.starts_with("kernel.") => {
            "the kernel reports an error of the hardware that could not be corrected"
        }
        Some(first) if cause == Cause::PlatformHardware && first.id == "aws.retirement" => {
            "AWS will retire or stop the hardware below the instance"
        }
        Some(first) if cause == Cause::PlatformHardware && first.component != Component::Ec2Status => {
            "the hardware below the instance is at fault"
        }
        Some(_) | None => sentence(cause),
    }
}
