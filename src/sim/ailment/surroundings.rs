//! Faults of identity, network path and clock: a person must repair something outside the node, and a new node would fall
//! ill as well. Each can be seen without the host.

use super::profile::{EcsFace, Profile, hints, shows};
use crate::diagnose::{Cause, Channel};
use crate::incident::Remedy;

/// Both agents are silent, and no remedy on the node helps.
const CUT_OFF: Profile = Profile { cures: &[], forbids: &Remedy::ALL, ..Profile::SILENT };

pub(super) const IMDS_UNREACHABLE: Profile = Profile {
    leaves: &[shows(
        Channel::Identity,
        Cause::IdentityImdsUnreachable,
        "MetadataOptions: HttpEndpoint=disabled; the agents cannot fetch the role's credentials",
    )],
    ..CUT_OFF
};

pub(super) const NO_INSTANCE_PROFILE: Profile = Profile {
    leaves: &[shows(
        Channel::Identity,
        Cause::IdentityNoInstanceProfile,
        "the instance has no instance profile, and Default Host Management is off in this region",
    )],
    ..CUT_OFF
};

pub(super) const ACCESS_DENIED: Profile = Profile {
    leaves: &[shows(
        Channel::Identity,
        Cause::IdentityAccessDenied,
        "simulated as the instance's role: ssm:UpdateInstanceInformation, ssmmessages:CreateControlChannel and \
         ecs:DiscoverPollEndpoint are implicitDeny",
    )],
    ..CUT_OFF
};

pub(super) const CREDENTIALS_EXPIRED: Profile = Profile {
    leaves: &[
        shows(
            Channel::Identity,
            Cause::IdentityCredentialsExpired,
            "the instance profile names a role that was deleted and created anew; credentials issued before are invalid",
        ),
        hints(
            Channel::Console,
            Cause::IdentityCredentialsExpired,
            "amazon-ssm-agent: ExpiredTokenException: The security token included in the request is expired",
        ),
    ],
    ..CUT_OFF
};

pub(super) const REGISTRATION_MISMATCH: Profile = Profile {
    ecs: EcsFace::Connected,
    leaves: &[shows(
        Channel::Identity,
        Cause::IdentityRegistrationMismatch,
        "the activation's fingerprint does not match: another machine registered with the same activation key",
    )],
    ..CUT_OFF
};

pub(super) const DEFAULT_HOST_MANAGEMENT: Profile = Profile {
    ecs: EcsFace::Connected,
    leaves: &[shows(
        Channel::Identity,
        Cause::IdentityDefaultHostManagement,
        "/ssm/managed-instance/default-ec2-instance-management-role names a role that ssm.amazonaws.com may not assume",
    )],
    ..CUT_OFF
};

pub(super) const DNS: Profile = Profile {
    leaves: &[
        shows(
            Channel::Network,
            Cause::NetworkDns,
            "DHCP options name the resolver 10.0.0.53, which no rule lets the subnet reach; enableDnsSupport is false",
        ),
        hints(
            Channel::Console,
            Cause::NetworkDns,
            "cloud-init: Temporary failure in name resolution (ssm.us-east-1.amazonaws.com)",
        ),
    ],
    ..CUT_OFF
};

pub(super) const UNREACHABLE: Profile = Profile {
    leaves: &[shows(
        Channel::Network,
        Cause::NetworkUnreachable,
        "the route 0.0.0.0/0 of the subnet is a blackhole (NAT gateway deleted), and there is no interface endpoint for \
         ssm, ssmmessages or ec2messages",
    )],
    ..CUT_OFF
};

pub(super) const TLS: Profile = Profile {
    leaves: &[shows(
        Channel::Console,
        Cause::NetworkTls,
        "amazon-ssm-agent: x509: certificate signed by unknown authority (issuer: CN=Corporate Inspection CA)",
    )],
    ..CUT_OFF
};

pub(super) const PROXY: Profile = Profile {
    leaves: &[shows(
        Channel::Console,
        Cause::NetworkProxy,
        "amazon-ssm-agent: proxyconnect tcp: dial tcp 10.0.0.8:3128: connect: connection refused",
    )],
    ..CUT_OFF
};

pub(super) const CLOCK_SKEW: Profile = Profile {
    leaves: &[shows(
        Channel::Console,
        Cause::ClockSkew,
        "chronyd: System clock wrong by 1893.4 seconds; amazon-ssm-agent: InvalidSignatureException: Signature expired",
    )],
    ..CUT_OFF
};
