//! Which helper prototype a program gets, and on what conditions.
//!
//! The kernel asks one function for each program type, which falls back on others. Here each such function is a
//! [`HelperTable`]: rows for the helpers that it names, and tables to ask before and after. A row may have
//! [`Condition`]s on the program, which [`ProgramFacts`] answers. Start at [`HelperTable`].

use std::sync::LazyLock;

use rustc_hash::FxHashMap;
use serde::Deserialize;

use super::entries::Entries;
use super::enums::{AttachType, ProgramType};
use super::special::Special;

bitflags::bitflags! {
    /// What the user who loads a program may do.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Capabilities: u8 {
        /// `CAP_BPF`.
        const BPF = 1;
        /// `CAP_PERFMON`.
        const PERFMON = 1 << 1;
        /// `CAP_NET_ADMIN`.
        const NET_ADMIN = 1 << 2;
        /// `CAP_SYS_ADMIN`.
        const SYS_ADMIN = 1 << 3;
    }
}

/// What conditions ask of a program.
#[derive(Clone, Copy, Debug)]
pub struct ProgramFacts<'a> {
    /// Its type. For a program that extends another: that one's.
    pub program: ProgramType,
    /// Where it attaches, if that was told at load.
    pub attach: Option<AttachType>,
    /// May it sleep?
    pub sleepable: bool,
    /// Its user's capabilities.
    pub capabilities: Capabilities,
    /// The kernel function that it attaches to, the security hook, such as `file_open` or `bpf_lsm_file_open`, or the
    /// iterator target, such as `tcp`; or empty.
    pub target: &'a str,
    /// The structure and member that a `struct_ops` program implements, such as `("tcp_congestion_ops", "release")`.
    pub struct_ops: Option<(&'a str, &'a str)>,
}

/// One test of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// The program may sleep.
    Sleepable,
    /// It is attached as kprobe.multi or kprobe.session (`is_kprobe_multi`).
    KprobeMulti,
    /// It is attached as kprobe.session (`is_kprobe_session`).
    KprobeSession,
    /// It is called by a trampoline (`bpf_prog_has_trampoline`).
    Trampoline,
    /// The kernel keeps it from running inside itself (`bpf_prog_check_recur`).
    RecursionChecked,
    /// Its user has this capability.
    Capable(Capabilities),
    /// The kernel is locked down in this respect.
    LockedDown(String),
    /// It attaches as one of these.
    AttachType(Vec<AttachType>),
    /// It has this type.
    ProgramType(ProgramType),
    /// It attaches to a function of this set of [`super::special::Special::function_sets`].
    AttachTargetIn(String),
    /// It implements this member of a structure.
    StructOpsMember(String),
    /// The kernel was built with this option, which the build that the data was made from is not.
    Config(String),
}

/// A test, or its opposite.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Condition {
    /// Must the test fail?
    pub negated: bool,
    /// The test.
    pub test: Test,
}

impl TryFrom<String> for Condition {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no condition");
        let (negated, rest) = text.strip_prefix('!').map_or((false, text.as_str()), |rest| (true, rest));
        let compared = rest.split_once(" = ").map(|(left, right)| (left, false, right));
        let compared = compared.or_else(|| rest.split_once(" != ").map(|(left, right)| (left, true, right)));
        if let Some((subject, differs, value)) = compared {
            let test = match subject {
                "attach_type" => {
                    let types: Result<Vec<_>, _> =
                        value.split(" | ").map(|name| AttachType::try_from(name.to_owned())).collect();
                    Test::AttachType(types?)
                }
                "program_type" => Test::ProgramType(ProgramType::try_from(value.to_owned())?),
                "struct_ops_member" => Test::StructOpsMember(value.to_owned()),
                _ => return Err(wrong()),
            };
            return Ok(Self { negated: negated != differs, test });
        }
        let (word, argument) = rest.split_once(' ').unwrap_or((rest, ""));
        let test = match (word, argument) {
            ("sleepable", "") => Test::Sleepable,
            ("kprobe_multi", "") => Test::KprobeMulti,
            ("kprobe_session", "") => Test::KprobeSession,
            ("trampoline", "") => Test::Trampoline,
            ("recursion_checked", "") => Test::RecursionChecked,
            ("capable", name) => {
                let found = Capabilities::all().iter_names().find(|(one, _)| one.eq_ignore_ascii_case(name));
                Test::Capable(found.ok_or_else(wrong)?.1)
            }
            ("locked_down", what) => Test::LockedDown(what.to_owned()),
            ("attach_target", set) => Test::AttachTargetIn(set.strip_prefix("in ").ok_or_else(wrong)?.to_owned()),
            ("config", option) => Test::Config(option.to_owned()),
            _ => return Err(wrong()),
        };
        Ok(Self { negated, test })
    }
}

impl Condition {
    /// Does it hold of the program? The kernel is taken not to be locked down, and built as the data says. `special`
    /// has the sets of functions that targets are looked up in; it is read where one is asked for.
    pub fn holds(&self, facts: &ProgramFacts<'_>, special: &LazyLock<Special>) -> bool {
        let attach_is = |types: &[AttachType]| facts.attach.is_some_and(|attach| types.contains(&attach));
        let found = match &self.test {
            Test::Sleepable => facts.sleepable,
            Test::KprobeMulti => attach_is(&[AttachType::TraceKprobeMulti, AttachType::TraceKprobeSession]),
            Test::KprobeSession => attach_is(&[AttachType::TraceKprobeSession]),
            Test::Trampoline => match facts.program {
                ProgramType::Tracing => {
                    attach_is(&[AttachType::TraceFentry, AttachType::TraceFexit, AttachType::ModifyReturn])
                }
                ProgramType::Lsm => attach_is(&[AttachType::LsmMac]),
                _ => false,
            },
            Test::RecursionChecked => match facts.program {
                ProgramType::Tracing => !attach_is(&[AttachType::TraceIter]),
                ProgramType::StructOps | ProgramType::Lsm => false,
                _ => true,
            },
            // CAP_SYS_ADMIN stands in for CAP_BPF and CAP_PERFMON (bpf_capable, perfmon_capable).
            Test::Capable(needed) => facts.capabilities.intersects(*needed | Capabilities::SYS_ADMIN),
            Test::LockedDown(_) | Test::Config(_) => false,
            Test::AttachType(types) => attach_is(types),
            Test::ProgramType(program) => facts.program == *program,
            Test::AttachTargetIn(set) => {
                let hook = |name: &str| {
                    facts.program == ProgramType::Lsm && name.strip_prefix("bpf_lsm_") == Some(facts.target)
                };
                special
                    .function_sets
                    .get(set)
                    .is_some_and(|names| names.iter().any(|name| name == facts.target || hook(name)))
            }
            Test::StructOpsMember(member) => {
                let parts = member.split_once('.');
                parts.is_some() && parts == facts.struct_ops
            }
        };
        found != self.negated
    }
}

/// A row: the first whose conditions all hold decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// All must hold.
    pub when: Vec<Condition>,
    /// What then.
    pub then: Outcome,
}

/// What a row says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The helper is offered, checked by the prototype of this symbol.
    Proto(String),
    /// It is not offered.
    Refused,
    /// As another table says.
    Table(String),
    /// As another table says, if it offers the helper; else the next row.
    Try(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRow {
    #[serde(default)]
    when: Vec<Condition>,
    proto: Option<String>,
    table: Option<String>,
    #[serde(rename = "try")]
    attempt: Option<String>,
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = RawRow::deserialize(deserializer)?;
        let then = match (raw.proto, raw.table, raw.attempt) {
            (Some(symbol), None, None) => Outcome::Proto(symbol),
            (None, Some(name), None) => Outcome::Table(name),
            (None, None, Some(name)) => Outcome::Try(name),
            (None, None, None) => Outcome::Refused,
            _ => return Err(serde::de::Error::custom("a row has one of `proto`, `table` and `try`")),
        };
        Ok(Self { when: raw.when, then })
    }
}

/// The rows of one helper; a bare string is a prototype without conditions.
#[derive(Deserialize)]
#[serde(untagged)]
enum RawRows {
    Proto(String),
    Rows(Vec<Row>),
}

/// One of the kernel's `…_func_proto` functions.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HelperTable {
    /// The function's name.
    pub name: String,
    /// Asked first, whatever the helper.
    pub first: Vec<Row>,
    /// For helpers that are not named.
    pub otherwise: Vec<Row>,
    /// By helper name.
    #[serde(deserialize_with = "rows")]
    pub helpers: FxHashMap<String, Vec<Row>>,
}

fn rows<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<FxHashMap<String, Vec<Row>>, D::Error> {
    let raw = FxHashMap::<String, RawRows>::deserialize(deserializer)?;
    let plain = |rows| match rows {
        RawRows::Proto(symbol) => vec![Row { when: Vec::new(), then: Outcome::Proto(symbol) }],
        RawRows::Rows(rows) => rows,
    };
    Ok(raw.into_iter().map(|(name, rows)| (name, plain(rows))).collect())
}

/// What a program type is given.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramEntry {
    /// The program type.
    #[serde(rename = "type")]
    pub program: ProgramType,
    /// Its table of helpers; none for types whose table depends on their target.
    pub table: Option<String>,
    /// The context's C type as programs see it.
    pub context: String,
    /// The context's C type in the kernel.
    pub kernel_context: String,
}

/// The table of a `struct_ops` structure.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StructOpsEntry {
    /// Structure name.
    #[serde(rename = "struct")]
    pub structure: String,
    /// Its table; none: its programs call no helper.
    pub table: Option<String>,
}

/// The table that an iterator's programs may use besides.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IteratorEntry {
    /// Target, such as `tcp`.
    pub target: String,
    /// Its table.
    pub table: String,
}

/// `availability.toml`.
#[derive(Debug)]
pub struct Availability {
    /// By program type.
    pub programs: Entries<ProgramEntry>,
    /// By `struct_ops` structure.
    pub struct_ops: Entries<StructOpsEntry>,
    /// By iterator target.
    pub iterators: Entries<IteratorEntry>,
    /// Tables by name.
    pub tables: Entries<HelperTable>,
}

/// The name under which the tables refer to the iterator target's own table.
const ITERATOR_TABLE: &str = "bpf_iter_get_func_proto";

/// Tables that ask each other; more is a mistake in the data.
const DEPTH: usize = 16;

impl Availability {
    /// What the text of the file says.
    pub(super) fn of(text: &'static str) -> Availability {
        Availability {
            programs: Entries::of([text], "program", "type"),
            struct_ops: Entries::of([text], "struct_ops", "struct"),
            iterators: Entries::of([text], "iterator", "target"),
            tables: Entries::of([text], "table", "name"),
        }
    }

    /// The symbol of the prototype that a program gets for a helper, if it is offered. `special` as
    /// for [`Condition::holds`].
    pub fn proto(&self, helper: &str, facts: &ProgramFacts<'_>, special: &LazyLock<Special>) -> Option<&str> {
        let table = match facts.struct_ops {
            Some((structure, _)) => self.struct_ops.get(structure)?.table.as_deref(),
            None => self.programs.get(facts.program.name())?.table.as_deref(),
        };
        self.ask(table?, helper, facts, special, DEPTH)
    }

    fn ask(
        &self,
        table: &str,
        helper: &str,
        facts: &ProgramFacts<'_>,
        special: &LazyLock<Special>,
        depth: usize,
    ) -> Option<&str> {
        let depth = depth.checked_sub(1)?;
        let table = if table == ITERATOR_TABLE {
            let target = facts.target.strip_prefix("bpf_iter_").unwrap_or(facts.target);
            &self.iterators.get(target)?.table
        } else {
            table
        };
        let table = self.tables.get(table)?;
        let named = table.helpers.get(helper).unwrap_or(&table.otherwise);
        for row in table.first.iter().chain(named) {
            if !row.when.iter().all(|condition| condition.holds(facts, special)) {
                continue;
            }
            match &row.then {
                Outcome::Proto(symbol) => return Some(symbol),
                Outcome::Refused => return None,
                Outcome::Table(name) => return self.ask(name, helper, facts, special, depth),
                Outcome::Try(name) => {
                    if let Some(symbol) = self.ask(name, helper, facts, special, depth) {
                        return Some(symbol);
                    }
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read() {
        let condition = |text: &str| Condition::try_from(text.to_owned());
        let types = vec![AttachType::TraceIter, AttachType::TraceRawTp];
        assert_eq!(
            condition("attach_type != trace_iter | trace_raw_tp"),
            Ok(Condition { negated: true, test: Test::AttachType(types) })
        );
        assert_eq!(
            condition("!capable perfmon"),
            Ok(Condition { negated: true, test: Test::Capable(Capabilities::PERFMON) })
        );
        assert!(condition("capable of_everything").is_err());
        assert!(condition("attach_type = nowhere").is_err());
        assert!(condition("").is_err());
    }
}
