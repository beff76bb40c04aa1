//! How much of a long story fits.

/// The whole message stays under this, in bytes; SNS would take 256 KB.
pub const WHOLE_MAX: usize = 60_000;

/// How much of each part is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Findings in the mail and in the machine form.
    pub(super) findings: usize,
    /// Characters of each finding's evidence.
    pub(super) evidence: usize,
    /// Lines of the timeline.
    pub(super) lines: usize,
    /// Steps in the machine form, the latest.
    pub(super) steps: usize,
}

impl Limits {
    /// From the usual one to the one that always fits. The last keeps a report under about 30 KB whatever comes: names
    /// and refusals are bounded where they are made.
    pub(super) const LADDER: [Self; 3] = [
        Self { findings: 12, evidence: 400, lines: 60, steps: 40 },
        Self { findings: 6, evidence: 200, lines: 40, steps: 20 },
        Self { findings: 3, evidence: 80, lines: 15, steps: 8 },
    ];
}
