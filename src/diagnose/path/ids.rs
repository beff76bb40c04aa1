//! The ids of a VPC's parts, checked once at the door.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};

use crate::node::{BadName, checked_text};

/// An id of a VPC's part: its prefix, and lower-case letters and digits. AWS writes 8 or 17 hexadecimal digits; what stands in
/// for AWS is less strict.
fn is_id(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|tail| {
        (1..=40).contains(&tail.len()) && tail.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    })
}

checked_text!(
    /// `vpc-…`.
    VpcId, "a VPC id", |text| is_id(text, "vpc-")
);
checked_text!(
    /// `subnet-…`.
    SubnetId, "a subnet id", |text| is_id(text, "subnet-")
);
checked_text!(
    /// `sg-…`.
    SecurityGroupId, "a security group id", |text| is_id(text, "sg-")
);
checked_text!(
    /// `acl-…`.
    NetworkAclId, "a network ACL id", |text| is_id(text, "acl-")
);
checked_text!(
    /// `rtb-…`.
    RouteTableId, "a route table id", |text| is_id(text, "rtb-")
);
checked_text!(
    /// `nat-…`.
    NatGatewayId, "a NAT gateway id", |text| is_id(text, "nat-")
);
checked_text!(
    /// `vpce-…`.
    VpcEndpointId, "a VPC endpoint id", |text| is_id(text, "vpce-")
);
checked_text!(
    /// `pl-…`.
    PrefixListId, "a prefix list id", |text| is_id(text, "pl-")
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_trimmed_and_printed_as_they_came() {
        assert_eq!(" sg-0a1b2c3d4e5f60718\n".parse::<SecurityGroupId>().unwrap().to_string(), "sg-0a1b2c3d4e5f60718");
        for text in ["", "sg-", "sg-A1", "subnet-1", "sg-1 --force", "sg-\u{1b}[31m"] {
            assert!(text.parse::<SecurityGroupId>().is_err(), "{text}");
        }
    }
}
