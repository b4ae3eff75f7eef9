//! What host and guest say to each other: requests, replies, and how they are framed.
//!
//! One message is one line of JSON. A request line may be followed by raw bytes (an object file), as many as its
//! `payload` field says. Replies carry the id of their request; a request is answered by any number of replies and then by
//! [`ReplyBody::Done`]. This file is compiled into both sides; it knows nothing of pipes, libbpf or QEMU. Start at
//! [`Request`] and [`Reply`].

use serde::{Deserialize, Serialize};

/// The name of the virtio-serial port that carries the messages.
pub const PORT_NAME: &str = "org.kptrsim.guest";

/// The largest payload that the guest accepts, in bytes.
pub const MAX_PAYLOAD: usize = 256 << 20;

/// One request from the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by the host, repeated in every reply.
    pub id: u64,
    /// How many raw bytes follow the line.
    #[serde(default)]
    pub payload: usize,
    /// What is asked.
    pub body: RequestBody,
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestBody {
    /// Who are you? Answered by [`ReplyBody::Hello`].
    Hello,
    /// Load programs of the object in the payload, each alone. Answered by one [`ReplyBody::Program`] for each.
    Load(LoadRequest),
    /// Load programs of the object in the payload together and run them. Answered by one [`ReplyBody::TestRun`].
    TestRun(TestRunRequest),
    /// Several such runs, each of the object loaded anew. Answered by one [`ReplyBody::TestRun`] for each, in order.
    TestRuns(TestRunsRequest),
    /// Run programs of the object in the payload concurrently, many times over. Answered by one [`ReplyBody::Scenario`].
    Scenario(ScenarioRequest),
    /// Switch the machine off.
    PowerOff,
}

/// Which programs of an object to load, and what to bring back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadRequest {
    /// Names of the programs; all of the object's when empty.
    #[serde(default)]
    pub programs: Vec<String>,
    /// The verifier's log level: 1 and 2 are the kernel's levels, 4 adds statistics, which are always asked for.
    pub log_level: u32,
    /// Whether to send the whole log.
    #[serde(default)]
    pub want_log: bool,
    /// Whether to send the instructions as libbpf relocated them.
    #[serde(default)]
    pub want_insns: bool,
    /// Whether to load as a process without any capability, maps and all.
    #[serde(default)]
    pub unprivileged: bool,
    /// Seconds that one program may take to load.
    pub timeout_seconds: u32,
}

/// Programs of one object to load together, what to put into globals, and what to run in which order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestRunRequest {
    /// Written before the programs are loaded.
    #[serde(default)]
    pub globals: Vec<GlobalSetting>,
    /// Run in this order. The programs they name are loaded.
    pub steps: Vec<RunStep>,
    /// More programs to load: those that the object puts into its program arrays.
    #[serde(default)]
    pub companions: Vec<String>,
    /// Seconds for all of it.
    pub timeout_seconds: u32,
}

/// Runs of one object that know nothing of each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestRunsRequest {
    /// Each in a process of its own, which ends after its `timeout_seconds`.
    pub runs: Vec<TestRunRequest>,
    /// Whether other requests have to wait meanwhile: attached programs would run for them too.
    pub exclusive: bool,
}

/// Programs of one object to run concurrently, again and again from the same start, and what to observe of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScenarioRequest {
    /// Written before the programs are loaded, and restored before each iteration.
    #[serde(default)]
    pub globals: Vec<GlobalSetting>,
    /// Run before the tasks, one after another, each on its CPU.
    #[serde(default)]
    pub first: Vec<RunStep>,
    /// Run concurrently.
    pub tasks: Vec<ScenarioTask>,
    /// Run after all tasks have ended, one after another, each on its CPU.
    #[serde(default)]
    pub last: Vec<RunStep>,
    /// The maps to read after each iteration, by name; global sections by their section's name.
    #[serde(default)]
    pub read: Vec<String>,
    /// How many iterations at most.
    pub iterations: u64,
    /// Seconds after which no other iteration is begun.
    pub budget_seconds: u32,
    /// Seed of the skew between the tasks' starts.
    pub seed: u64,
    /// Seconds for all of it.
    pub timeout_seconds: u32,
}

/// What one thread does, which is bound to one CPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScenarioTask {
    /// The CPU.
    pub cpu: usize,
    /// Run in this order; a step's `repeat` counts single test runs, each with a return value, and its `cpu` is not looked at.
    pub steps: Vec<RunStep>,
}

/// A value for a global variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GlobalSetting {
    /// The variable's name, or the name of a section (`.bss`, `.data`, `.rodata` …) to address by `offset`.
    pub name: String,
    /// Bytes from the start of the variable or section.
    #[serde(default)]
    pub offset: usize,
    /// What to write.
    pub value: GlobalValue,
}

/// What to write into a global variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GlobalValue {
    /// These bytes, as hexadecimal digits.
    Hex(String),
    /// This number, little-endian, in as many bytes as the variable has (at most eight).
    Int(i64),
    /// The id of the process that triggers the programs (what `bpf_get_current_pid_tgid() >> 32` returns).
    Pid,
    /// How many CPUs are possible (what `libbpf_num_possible_cpus()` returns).
    PossibleCpus,
}

/// One program to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunStep {
    /// The program's name.
    pub program: String,
    /// How to make it run.
    #[serde(default)]
    pub trigger: Trigger,
    /// The packet, as hexadecimal digits, for programs that take one.
    #[serde(default)]
    pub data_in: Option<String>,
    /// The context, as hexadecimal digits, for programs that take one.
    #[serde(default)]
    pub ctx_in: Option<String>,
    /// How often to run it; 0 is once.
    #[serde(default)]
    pub repeat: u32,
    /// The CPU to run on; any when absent.
    #[serde(default)]
    pub cpu: Option<usize>,
}

/// How a program is made to run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// What suits the program's type.
    #[default]
    Auto,
    /// `BPF_PROG_TEST_RUN` alone.
    TestRun,
    /// Attach, `BPF_PROG_TEST_RUN` (which calls `bpf_fentry_test1` and its siblings in the kernel), detach.
    AttachAndTestRun,
    /// Attach, one `getpgid` system call, detach.
    AttachAndSyscall,
}

/// One reply from the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The id of the request.
    pub id: u64,
    /// What is answered.
    pub body: ReplyBody,
}

/// What a reply says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyBody {
    /// The running kernel.
    Hello(Hello),
    /// What became of one program.
    Program(ProgramVerdict),
    /// What became of a run.
    TestRun(TestRunResult),
    /// What became of a scenario.
    Scenario(ScenarioResult),
    /// The request could not be carried out.
    Failed {
        /// Why.
        message: String,
    },
    /// Nothing more comes for this request.
    Done,
}

/// The running kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// `uname -r`.
    pub release: String,
    /// `uname -v`.
    pub version: String,
    /// `uname -m`.
    pub machine: String,
    /// How many CPUs are possible.
    pub cpus: u32,
    /// Whether the guest found `/boot/config-RELEASE`, which libbpf needs for `.kconfig` externs.
    pub has_config: bool,
}

/// What the kernel decided about a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The program was loaded.
    Accept,
    /// The verifier ran and said no.
    Reject,
    /// libbpf or the kernel failed before or after verification, so that there is no verdict.
    NotReached,
}

/// What became of one program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramVerdict {
    /// The program's name.
    pub program: String,
    /// The section it stands in.
    pub section: String,
    /// The decision.
    pub verdict: Verdict,
    /// The error number, positive; 0 when accepted.
    pub errno: i32,
    /// The last line of the verifier's log before its statistics, or why there is no verdict; empty when accepted.
    pub reason: String,
    /// The verifier's statistics, when it ran.
    pub stats: Option<VerifierStats>,
    /// The index of the last instruction in the log, when the log has instructions (level 1 or 2).
    pub last_insn: Option<u32>,
    /// The whole log, when asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// The relocated instructions as hexadecimal digits, 16 for each, when asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insns: Option<String>,
    /// What the guest changed to make the object loadable, as veristat does (a map's zero `max_entries` made 1).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adjusted: Vec<String>,
}

/// The statistics that end the verifier's log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifierStats {
    /// `processed N insns`.
    pub insns_processed: u64,
    /// `max_states_per_insn N`.
    pub max_states_per_insn: u64,
    /// `total_states N`.
    pub total_states: u64,
    /// `peak_states N`.
    pub peak_states: u64,
    /// `mark_read N`.
    pub mark_read: u64,
    /// `stack depth A+B…`, in bytes, the main program first.
    pub stack_depth: Vec<u32>,
    /// `verification time N usec`. Differs from run to run.
    pub verification_usec: u64,
}

/// What became of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestRunResult {
    /// One for each step that was begun.
    pub steps: Vec<StepResult>,
    /// Every map of the object after the last step.
    pub maps: Vec<MapDump>,
    /// Why it ended early (a program was rejected, a global does not exist …).
    pub error: Option<String>,
}

/// What became of a scenario: each outcome that was seen, and how often.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScenarioResult {
    /// Iterations that were carried out.
    pub iterations: u64,
    /// In ascending order; no two are equal.
    pub outcomes: Vec<ScenarioOutcome>,
    /// Why it ended early.
    pub error: Option<String>,
}

/// One outcome of a scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScenarioOutcome {
    /// In how many iterations it was seen.
    pub count: u64,
    /// What the tasks' test runs returned: by task, by step, repeats one by one.
    pub returns: Vec<u32>,
    /// What the test runs of `last` returned.
    pub last: Vec<u32>,
    /// The maps that were asked for, in that order: all entries of each, in the order of their keys' bytes; local storage
    /// has entries without keys.
    pub maps: Vec<Vec<MapEntry>>,
}

/// What became of one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepResult {
    /// The program's name.
    pub program: String,
    /// How it was made to run.
    pub trigger: Trigger,
    /// The error number, positive; 0 when it ran.
    pub errno: i32,
    /// What `BPF_PROG_TEST_RUN` returned. For `fentry` and `fexit` the kernel always says 0.
    pub retval: u32,
    /// The packet afterwards (for a flow dissector the keys that it found), as hexadecimal digits, where the kernel gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_out: Option<String>,
    /// The context afterwards, as hexadecimal digits, where the kernel gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ctx_out: Option<String>,
    /// Which call failed.
    pub error: Option<String>,
}

/// The contents of one map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapDump {
    /// The map's name; global sections have their section's name.
    pub name: String,
    /// libbpf's name for its type.
    pub map_type: String,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value, on one CPU.
    pub value_size: u32,
    /// In the order in which the kernel walks the map. Kernel pointers in values read as zero.
    pub entries: Vec<MapEntry>,
    /// Whether there were more entries than are listed.
    pub truncated: bool,
    /// Why the map could not be read.
    pub error: Option<String>,
    /// The variables of a global section.
    pub variables: Vec<Variable>,
}

/// One entry of a map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapEntry {
    /// The key as hexadecimal digits.
    pub key: String,
    /// The value as hexadecimal digits; one for each possible CPU in a per-CPU map.
    pub values: Vec<String>,
}

/// A variable in a global section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Bytes from the start of the section.
    pub offset: u32,
    /// Bytes that it takes.
    pub size: u32,
}

/// Writes bytes as lower-case hexadecimal digits.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|&byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(DIGITS[usize::from(digit & 15)]))
        .collect()
}

/// Reads hexadecimal digits, two a byte.
///
/// Returns `None` on an odd number of digits or on anything that is not a digit.
#[must_use]
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits =
        text.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect::<Option<Vec<u8>>>()?;
    let pairs = digits.chunks_exact(2);
    pairs.remainder().is_empty().then(|| pairs.map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_digits_come_back_as_the_same_bytes() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(from_hex(&to_hex(&bytes)), Some(bytes));
        assert_eq!(from_hex("abc"), None);
        assert_eq!(from_hex("zz"), None);
    }

    #[test]
    fn a_request_is_one_line_and_comes_back_the_same() {
        let request = Request {
            id: 7,
            payload: 3,
            body: RequestBody::TestRun(TestRunRequest {
                globals: vec![GlobalSetting { name: "my\npid".into(), offset: 0, value: GlobalValue::Pid }],
                steps: vec![],
                companions: vec![],
                timeout_seconds: 9,
            }),
        };
        let line = serde_json::to_string(&request).expect("a request has a JSON form");
        assert!(!line.contains('\n'));
        let back: Request = serde_json::from_str(&line).expect("and can be read back");
        assert_eq!(back, request);
    }
}
