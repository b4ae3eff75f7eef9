//! The rejected programs that a reader is to mend, and the mended ones beside them.
//!
//! They say in their heads what they are meant to do and not what is wrong, so that what is expected of them stands here, in one table:
//! [`EXPECTED`]. A kernel is asked for the same, with the same reasons.

use std::collections::BTreeSet;
use std::sync::Arc;

use kptrsim::kernel::{Capabilities, Profile};
use kptrsim::object::Object;
use kptrsim::verifier::{ObjectVerifier, Options, Verdict, Verification};
use libtest_mimic::{Failed, Trial};

use crate::kernel;
use crate::source::{Clang, Folder, Source};
use crate::trials::{check, with_clang};

/// What a file's rejected program is loaded as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loader {
    Root,
    /// A process without any capability.
    Unprivileged,
}

use Loader::{Root, Unprivileged};

/// A file, the program in it that is rejected, the rule that it breaks, and who loads it. Further programs of a file are accepted.
const EXPECTED: [(&str, &str, &str, Loader); 21] = [
    ("connect_guard", "guard", "outside-return-range", Root),
    ("current_limits", "copy_limits", "owner-unknown", Root),
    ("event_log", "log_packet", "unreleased-reference", Root),
    ("first_free", "take_port", "unreleased-reference", Root),
    ("flow_record", "record", "uninitialised-stack-read", Unprivileged),
    ("forward_chain", "follow", "infinite-loop", Root),
    ("greeting", "greet", "invalid-memory-access", Root),
    ("hits", "hit", "percpu-memory", Root),
    ("interface_counter", "count_by_interface", "invalid-memory-access", Root),
    ("last_packet", "remember", "invalid-memory-access", Root),
    ("length_histogram", "measure", "maximum-outside", Root),
    ("oldest_job", "oldest", "invalid-memory-access", Root),
    ("packet_copy", "send_start", "unbounded-size", Root),
    ("packet_event", "tell", "invalid-memory-access", Root),
    ("read_argument", "read_argument", "sleepable-helper-in-rcu", Root),
    ("reset_counters", "reset", "unreleased-reference", Root),
    ("session_table", "open_session", "unreleased-reference", Root),
    ("telnet_block", "block_telnet", "beyond-packet", Root),
    ("token_bucket", "limit", "missing-unlock", Root),
    ("watched_task", "watch_me", "store-to-referenced-kptr", Root),
    ("work_lists", "file_job", "expected-allocated", Root),
];

/// All trials about them.
///
/// # Errors
/// When the files cannot be read.
pub fn trials(clang: &Result<Clang, String>) -> Result<Vec<Trial>, String> {
    let rejected = Folder::Rejected.sources()?;
    let mended = Folder::Mended.sources()?;
    let names = |sources: &[Source]| sources.iter().map(|source| source.name.clone()).collect::<BTreeSet<_>>();
    let (of_rejected, of_mended) = (names(&rejected), names(&mended));
    let mut trials = vec![Trial::test("rejected examples are in the table, and each is mended", move || {
        let expected: BTreeSet<String> = EXPECTED.iter().map(|(file, ..)| (*file).to_owned()).collect();
        check(of_rejected == expected, || format!("files {of_rejected:?}, in the table {expected:?}"))?;
        check(of_mended == expected, || format!("mended {of_mended:?}, in the table {expected:?}"))
    })];
    for source in rejected.into_iter().chain(mended) {
        let (path, source) = (source.path(), Arc::new(source));
        trials.push(with_clang(clang, format!("verify {path}"), Arc::clone(&source), verdicts));
        let asked = with_clang(clang, format!("kernel verify {path}"), source, kernel_verdicts);
        trials.push(asked.with_ignored_flag(clang.is_err() || !kernel::is_wanted()));
    }
    Ok(trials)
}

/// What is expected of a file's program: the rule that it breaks, if any.
fn rule_of(source: &Source, program: &str) -> Option<&'static str> {
    let of_file = |entry: &&(&str, &'static str, &'static str, Loader)| entry.0 == source.name && entry.1 == program;
    (source.folder == Folder::Rejected).then(|| EXPECTED.iter().find(of_file).map(|entry| entry.2))?
}

fn is_unprivileged(source: &Source) -> bool {
    EXPECTED.iter().any(|(file, .., loader)| *file == source.name && *loader == Unprivileged)
}

fn verified(source: &Source, clang: &Clang) -> Result<Vec<Verification>, Failed> {
    let profile = Profile::embedded();
    let object = Object::parse(&source.name, source.compiled(clang)?, &profile.load_options())?;
    let capabilities = if is_unprivileged(source) { Capabilities::empty() } else { Capabilities::all() };
    let verifier = ObjectVerifier::new(&object, &profile, Options { capabilities, ..Options::default() });
    Ok(object.programs.iter().map(|program| verifier.verify(program)).collect())
}

/// Each program breaks the rule that it is to break, with a story and help; or none.
fn verdicts(source: &Source, clang: &Clang) -> Result<(), Failed> {
    let verified = verified(source, clang)?;
    let rejected = verified.iter().filter(|one| rule_of(source, &one.program).is_some()).count();
    check(rejected == usize::from(source.folder == Folder::Rejected), || {
        format!("{rejected} of its programs are in the table")
    })?;
    for verification in &verified {
        let (program, expected) = (&verification.program, rule_of(source, &verification.program));
        match &verification.verdict {
            Verdict::Accept => check(expected.is_none(), || format!("{program} is accepted, and not by {expected:?}"))?,
            Verdict::Reject(rejection) => {
                let rule = rejection.rule.id();
                check(expected == Some(rule), || format!("{program}: {rule}, not {expected:?}: {}", rejection.rule))?;
            }
            Verdict::Unsupported(what) => return Err(format!("{program} is not supported: {what}").into()),
        }
    }
    Ok(())
}

/// A kernel says of each program what we say, and for the same reason.
fn kernel_verdicts(source: &Source, clang: &Clang) -> Result<(), Failed> {
    let verified = verified(source, clang)?;
    for said in kernel::verdicts(source, clang, is_unprivileged(source))? {
        let ours = verified.iter().find(|one| one.program == said.program).ok_or("a program that we do not have")?;
        let expected = match &ours.verdict {
            Verdict::Reject(rejection) => Some((rejection.rule.errno().number(), rejection.rule.to_string())),
            _ => None,
        };
        let heard = kernel::reason(&said)?;
        check(expected == heard, || format!("{}: ours {expected:?}, the kernel's {heard:?}", said.program))?;
    }
    Ok(())
}
