//! The ids of a VPC's parts, checked once at the door.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::node::BadName;

/// An id of a VPC's part: its prefix, and lower-case letters and digits. AWS writes 8 or 17 hexadecimal digits; what stands in
/// for AWS is less strict.
macro_rules! part {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadName;

            fn from_str(text: &str) -> Result<Self, BadName> {
                let trimmed = text.trim();
                match trimmed.strip_prefix($prefix) {
                    Some(rest) if is_tail(rest) => Ok(Self(trimmed.into())),
                    Some(_) | None => Err(BadName { expected: $expected, given: text.to_owned() }),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

fn is_tail(text: &str) -> bool {
    (1..=40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

part!(
    /// `vpc-…`.
    VpcId, "vpc-", "a VPC id"
);
part!(
    /// `subnet-…`.
    SubnetId, "subnet-", "a subnet id"
);
part!(
    /// `sg-…`.
    SecurityGroupId, "sg-", "a security group id"
);
part!(
    /// `acl-…`.
    NetworkAclId, "acl-", "a network ACL id"
);
part!(
    /// `rtb-…`.
    RouteTableId, "rtb-", "a route table id"
);
part!(
    /// `nat-…`.
    NatGatewayId, "nat-", "a NAT gateway id"
);
part!(
    /// `vpce-…`.
    VpcEndpointId, "vpce-", "a VPC endpoint id"
);
part!(
    /// `pl-…`.
    PrefixListId, "pl-", "a prefix list id"
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
