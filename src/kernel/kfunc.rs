//! kfuncs: kernel functions that programs call by BTF name.
//!
//! What a kfunc demands follows from its flags and from its parameters' types and name suffixes; this room holds the
//! data, the verifier the rules. Start at [`Kfunc`].

use serde::Deserialize;

use super::availability::Condition;
use super::enums::ProgramType;
use super::prototype::Prototype;

bitflags::bitflags! {
    /// `KF_*` flags, with the kernel's bits (`include/linux/btf.h`, Linux 6.12).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct KfuncFlags: u32 {
        /// Returns a reference that must be released.
        const ACQUIRE = 1;
        /// Releases its argument's reference.
        const RELEASE = 1 << 1;
        /// May return NULL.
        const RET_NULL = 1 << 2;
        /// Pointers passed must be trusted.
        const TRUSTED_ARGS = 1 << 4;
        /// May sleep.
        const SLEEPABLE = 1 << 5;
        /// Needs `CAP_SYS_BOOT`.
        const DESTRUCTIVE = 1 << 6;
        /// Pointers passed must be trusted or RCU-protected.
        const RCU = 1 << 7;
        /// Makes an iterator.
        const ITER_NEW = 1 << 8;
        /// Advances an iterator.
        const ITER_NEXT = 1 << 9;
        /// Ends an iterator.
        const ITER_DESTROY = 1 << 10;
        /// The iterator that it makes lives in an RCU section.
        const RCU_PROTECTED = 1 << 11;
    }
}

impl<'de> Deserialize<'de> for KfuncFlags {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut flags = Self::empty();
        for word in Vec::<String>::deserialize(deserializer)? {
            let found = Self::all().iter_names().find(|(name, _)| name.eq_ignore_ascii_case(&word));
            flags |= found.ok_or_else(|| serde::de::Error::custom(format!("`{word}` is no kfunc flag")))?.1;
        }
        Ok(flags)
    }
}

/// The program types that may call a kfunc.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Programs {
    /// All of them.
    Any,
    /// These.
    These(Vec<ProgramType>),
}

impl Programs {
    /// May a program of this type call it?
    pub fn allows(&self, program: ProgramType) -> bool {
        match self {
            Programs::Any => true,
            Programs::These(types) => types.contains(&program),
        }
    }
}

impl<'de> Deserialize<'de> for Programs {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let words = Vec::<String>::deserialize(deserializer)?;
        if words == ["any"] {
            return Ok(Programs::Any);
        }
        let types: Result<Vec<_>, String> = words.into_iter().map(ProgramType::try_from).collect();
        types.map(Programs::These).map_err(serde::de::Error::custom)
    }
}

/// A kernel version, `6.12` or `6.12.117`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Version {
    /// 6 of 6.12.117.
    pub major: u32,
    /// 12 of 6.12.117.
    pub minor: u32,
    /// 117 of 6.12.117; 0 if not given.
    pub patch: u32,
}

impl TryFrom<String> for Version {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no kernel version");
        let numbers: Result<Vec<u32>, _> = text.split('.').map(str::parse).collect();
        match *numbers.map_err(|_| wrong())?.as_slice() {
            [major, minor] => Ok(Self { major, minor, patch: 0 }),
            [major, minor, patch] => Ok(Self { major, minor, patch }),
            _ => Err(wrong()),
        }
    }
}

/// A kfunc. A name may occur twice, with different flags for different program types.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kfunc {
    /// Name.
    pub name: String,
    /// C prototype; the names of its parameters matter.
    pub prototype: Prototype,
    /// `KF_*` flags.
    #[serde(default)]
    pub flags: KfuncFlags,
    /// Who may call it.
    pub programs: Programs,
    /// What else must hold of the program.
    #[serde(default)]
    pub when: Vec<Condition>,
    /// The kernel's source file, for people.
    #[serde(default)]
    pub source: String,
    /// The build that the data was made from does not have it: its module or option is off.
    #[serde(default)]
    pub absent: bool,
    /// First kernel that has it.
    pub since: Option<Version>,
    /// First kernel that no longer has it.
    pub until: Option<Version>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered() {
        let version = |text: &str| Version::try_from(text.to_owned());
        assert!(version("6.9") < version("6.12"));
        assert!(version("6.12") < version("6.12.117"));
        assert!(version("6").is_err());
        assert!(version("six.one").is_err());
    }
}
