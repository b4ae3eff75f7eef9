//! Loads programs one at a time and says what the verifier decided.
//!
//! An object is opened and relocated once, with all its programs; then each program is loaded in a child that inherits that, so
//! that none sees another and the costly part is done once. When the object cannot be prepared as a whole (a kfunc
//! that only one program needs is missing) or a program gets no verdict that way, it is opened anew with that program alone, as
//! veristat does.

use crate::libbpf::{self, Object, Program};
use crate::protocol::{LoadRequest, ProgramVerdict, ReplyBody, Verdict, to_hex};
use crate::serve::Sink;
use crate::verifier_log::classify;
use crate::{privileges, process};

/// Bytes of the verifier's log that are kept; of a longer one the kernel keeps the end.
const LOG_SIZE: usize = 16 << 20;

/// The verifier's log level bit that asks for statistics.
const LOG_STATS: u32 = 4;

/// What libbpf says when `BPF_PROG_LOAD` itself failed, and not something around it.
const LOAD_FAILED: &str = "BPF program load failed";

/// Loads what is asked and sends a verdict for each program.
pub fn load(request: &LoadRequest, bytes: &[u8], sink: &mut Sink) {
    libbpf::capture_messages();
    if request.unprivileged
        && let Err(error) = privileges::drop_all()
    {
        return sink.send(ReplyBody::Failed { message: format!("cannot give capabilities up: {error}") });
    }
    let object = match Object::open(bytes) {
        Ok(object) => object,
        Err(errno) => {
            let message = reason_of(&libbpf::take_messages(), errno);
            return sink.send(ReplyBody::Failed { message: format!("libbpf cannot open the object: {message}") });
        }
    };
    let adjusted = object.adjust();
    object.autoload_only(|_| true);
    let prepared = object.prepare().is_ok();
    libbpf::take_messages();
    process::set_deadline(0);

    let names: Vec<(String, String)> =
        object.programs().iter().map(|program| (program.name(), program.section())).collect();
    for missing in request.programs.iter().filter(|&wanted| !names.iter().any(|(name, _)| name == wanted)) {
        sink.send(ReplyBody::Failed { message: format!("the object has no program '{missing}'") });
    }
    let attempt = Attempt { request, bytes, adjusted: &adjusted };
    for (name, section) in names {
        if !request.programs.is_empty() && !request.programs.contains(&name) {
            continue;
        }
        attempt.in_child(prepared.then_some(&object), &name, &section, sink);
    }
}

/// What all attempts at one object share.
struct Attempt<'a> {
    request: &'a LoadRequest,
    bytes: &'a [u8],
    adjusted: &'a [String],
}

impl Attempt<'_> {
    /// Loads one program in a child, which sends the verdict; sends one for it when the child dies.
    fn in_child(&self, prepared: Option<&Object>, name: &str, section: &str, sink: &mut Sink) {
        let seconds = self.request.timeout_seconds;
        let child = process::spawn(seconds, || {
            let shared = prepared.map(|object| self.load_from(object, name, section));
            let verdict = match shared {
                Some(verdict) if verdict.verdict != Verdict::NotReached => verdict,
                _ => self.load_alone(name, section),
            };
            sink.send(ReplyBody::Program(verdict));
        });
        let complaint = match child {
            Ok(child) => process::wait_for(child).complaint(seconds),
            Err(error) => Some(format!("cannot start a process: {error}")),
        };
        if let Some(reason) = complaint {
            sink.send(ReplyBody::Program(self.without_verdict(name, section, 0, reason)));
        }
    }

    /// Opens the object anew and loads this one program.
    fn load_alone(&self, name: &str, section: &str) -> ProgramVerdict {
        libbpf::take_messages();
        match Object::open(self.bytes) {
            Ok(object) => {
                object.adjust();
                self.load_from(&object, name, section)
            }
            Err(errno) => {
                let reason = reason_of(&libbpf::take_messages(), errno);
                self.without_verdict(name, section, errno, reason)
            }
        }
    }

    /// Loads this one program of an object that is open or prepared.
    fn load_from(&self, object: &Object, name: &str, section: &str) -> ProgramVerdict {
        object.autoload_only(|program| program.name() == name);
        let programs = object.programs();
        let Some(program) = programs.iter().find(|program| program.name() == name) else {
            return self.without_verdict(name, section, libc::ENOENT, "no such program".into());
        };
        let mut log = vec![0; LOG_SIZE];
        program.set_log(&mut log, self.request.log_level | LOG_STATS);
        let outcome = object.load();
        let messages = libbpf::take_messages();
        let insns = self.request.want_insns.then(|| to_hex(&program.insns()));
        self.verdict(program, outcome.err().unwrap_or(0), &log, &messages, insns)
    }

    fn verdict(
        &self,
        program: &Program,
        errno: i32,
        log: &[u8],
        messages: &str,
        insns: Option<String>,
    ) -> ProgramVerdict {
        let length = log.iter().position(|&byte| byte == 0).unwrap_or(log.len());
        let log = String::from_utf8_lossy(&log[..length]);
        let loaded = errno == 0 || !messages.contains(LOAD_FAILED) && log.contains("processed ");
        let errno = if loaded { 0 } else { errno };
        let mut finding = classify(errno, &log);
        if finding.verdict == Verdict::NotReached {
            finding.reason = match finding.stats {
                Some(_) => format!("failed after verification: {}", reason_of(messages, errno)),
                None => reason_of(messages, errno),
            };
        }
        ProgramVerdict {
            program: program.name(),
            section: program.section(),
            verdict: finding.verdict,
            errno,
            reason: finding.reason,
            stats: finding.stats,
            last_insn: finding.last_insn,
            log: self.request.want_log.then(|| log.into_owned()),
            insns,
            adjusted: self.adjusted.to_vec(),
        }
    }

    fn without_verdict(&self, name: &str, section: &str, errno: i32, reason: String) -> ProgramVerdict {
        ProgramVerdict {
            program: name.to_owned(),
            section: section.to_owned(),
            verdict: Verdict::NotReached,
            errno,
            reason,
            stats: None,
            last_insn: None,
            log: None,
            insns: None,
            adjusted: self.adjusted.to_vec(),
        }
    }
}

/// The first thing that libbpf complained about, else the error number's meaning.
pub fn reason_of(messages: &str, errno: i32) -> String {
    let first =
        messages.lines().map(|line| line.strip_prefix("libbpf: ").unwrap_or(line).trim()).find(|line| !line.is_empty());
    match first {
        Some(line) => line.to_owned(),
        None => std::io::Error::from_raw_os_error(errno).to_string(),
    }
}
