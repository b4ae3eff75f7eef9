//! What disagrees, and by what two disagreements are the same.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Classes of disagreements, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// A kernel died of loading the program.
    KernelDied,
    /// The kernel accepts the program, and it faults in the machine.
    KernelAcceptsMachineFaults,
    /// We accept what the kernel rejects.
    WrongAccept,
    /// We accept it, no kernel was asked, and it faults in the machine.
    AcceptedFaults,
    /// The machine came to a state that the verifier had not reckoned with.
    NotContained,
    /// Our own code panicked.
    Panic,
    /// We reject what the kernel accepts.
    WrongReject,
    /// Both reject, with different reasons or error numbers.
    ReasonDiffers,
    /// The same verdict after different numbers of processed instructions.
    CountDiffers,
    /// The kernel gave no verdict: libbpf or the kernel failed before or after verification.
    NoVerdict,
    /// Our loader refuses a program of an object that libbpf loads.
    NotLoaded,
    /// The program could not be written as an object, or not be read back.
    NotWritten,
}

impl Class {
    /// All of them, the worst first.
    pub const ALL: [Class; 12] = [
        Class::KernelDied,
        Class::KernelAcceptsMachineFaults,
        Class::WrongAccept,
        Class::AcceptedFaults,
        Class::NotContained,
        Class::Panic,
        Class::WrongReject,
        Class::ReasonDiffers,
        Class::CountDiffers,
        Class::NoVerdict,
        Class::NotLoaded,
        Class::NotWritten,
    ];

    /// A short fixed name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Class::KernelDied => "kernel-died",
            Class::KernelAcceptsMachineFaults => "kernel-accepts-machine-faults",
            Class::WrongAccept => "wrong-accept",
            Class::AcceptedFaults => "accepted-faults",
            Class::NotContained => "not-contained",
            Class::Panic => "panic",
            Class::WrongReject => "wrong-reject",
            Class::ReasonDiffers => "reason-differs",
            Class::CountDiffers => "count-differs",
            Class::NoVerdict => "no-verdict",
            Class::NotLoaded => "not-loaded",
            Class::NotWritten => "not-written",
        }
    }

    /// Does it take a kernel to see it?
    #[must_use]
    pub fn needs_kernel(self) -> bool {
        !matches!(self, Class::AcceptedFaults | Class::NotContained | Class::Panic | Class::NotWritten)
    }
}

/// What disagrees. Two disagreements with equal causes are the same one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cause {
    /// Its class.
    pub class: Class,
    /// What our half says: `accept`, the rule's id, what is unsupported, or the machine's fault and the instruction.
    pub ours: String,
    /// What the kernel says, without numbers; empty if that is no part of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kernel: String,
}

/// A number that tells bytes from others (64-bit FNV-1a), the same in every build.
pub(super) fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

impl Cause {
    /// A short name for files: the class and a digest of the rest.
    #[must_use]
    pub fn file_name(&self) -> String {
        let digest = digest(format!("{}\0{}", self.ours, self.kernel).as_bytes());
        format!("{}-{:08x}", self.class.name(), (digest >> 32) as u32 ^ digest as u32)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.class.name(), self.ours)?;
        if self.kernel.is_empty() { Ok(()) } else { write!(out, " / kernel: {}", self.kernel) }
    }
}

/// A message without its numbers: registers, instructions, sizes and addresses become `N`.
#[must_use]
pub fn normalised(text: &str) -> String {
    let mut result = String::new();
    let mut rest = text.trim();
    while let Some(start) = rest.find(|letter: char| letter.is_ascii_digit()) {
        let (before, digits) = rest.split_at(start);
        result.push_str(before.strip_suffix('-').unwrap_or(before));
        result.push('N');
        let hex = digits.strip_prefix("0x");
        let end = |text: &str, digit: fn(&char) -> bool| text.chars().take_while(digit).count();
        rest = match hex {
            Some(hex) => &hex[end(hex, char::is_ascii_hexdigit)..],
            None => &digits[end(digits, char::is_ascii_digit)..],
        };
    }
    result.push_str(rest);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_the_same_up_to_their_numbers() {
        assert_eq!(normalised("R3 min value is -7, 0xffAAg 12"), "RN min value is N, Ng N");
        assert_eq!(normalised("no number"), "no number");
        assert_eq!(normalised("0x"), "N");
    }

    #[test]
    fn files_of_different_causes_have_different_names() {
        let cause = |ours: &str| Cause { class: Class::WrongAccept, ours: ours.into(), kernel: "x".into() };
        assert_ne!(cause("a").file_name(), cause("b").file_name());
        assert!(cause("a").file_name().starts_with("wrong-accept-"));
    }

    #[test]
    fn every_class_is_written_by_its_name() {
        for class in Class::ALL {
            assert_eq!(serde_json::to_value(class).expect("a word"), class.name());
        }
        assert!(Class::ALL.is_sorted());
    }
}
