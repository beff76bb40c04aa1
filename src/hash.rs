//! A number for a text that is the same in every build, unlike the one of the standard library.

/// FNV-1a, 64 bits: it tells apart what differs by chance, and guards against nobody.
pub(crate) fn fnv1a(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes
        .into_iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}
