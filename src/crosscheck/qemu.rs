//! The QEMU process: its command line, its pipes, the console's last lines, and its end.
//!
//! The port to the guest is QEMU's standard input and output; the guest's console and QEMU's own complaints come on its standard error.
//! What is said over the port is [`crate::crosscheck::vm`]'s affair.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;

use super::CrosscheckError;
use super::protocol::{PORT_NAME, Reply};

/// The program.
const QEMU: &str = "qemu-system-x86_64";

/// Lines of the console that are kept.
const CONSOLE_LINES: usize = 200;

/// Bytes of one line of the console that are kept.
const CONSOLE_LINE: u64 = 1000;

/// The longest reply, in bytes: a full log of 16 MiB with room for escapes.
const MAX_REPLY: u64 = 128 << 20;

/// How the guest's CPUs are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accelerator {
    /// By the host's processor. Quick, where the host allows it.
    Kvm,
    /// By translation, which works everywhere.
    Tcg,
}

impl Accelerator {
    /// Whether KVM may be worth a try: its device can be opened for reading and writing.
    #[must_use]
    pub fn kvm_is_offered() -> bool {
        OpenOptions::new().read(true).write(true).open("/dev/kvm").is_ok()
    }

    fn arguments(self) -> [&'static str; 4] {
        match self {
            Accelerator::Kvm => ["-accel", "kvm", "-cpu", "host"],
            Accelerator::Tcg => ["-accel", "tcg,thread=multi", "-cpu", "max,la57=off,fsrm=off"],
        }
    }
}

/// What comes from a running machine.
#[derive(Debug)]
pub enum Event {
    /// The guest answered.
    Reply(Box<Reply>),
    /// The guest sent something that is no reply.
    Garbage(String),
    /// QEMU closed its end.
    Closed,
}

/// A running QEMU. Dropping it ends it.
#[derive(Debug)]
pub struct Qemu {
    child: Child,
    /// Bytes for the guest; a thread writes them, so that a guest that does not read cannot block us.
    to_guest: Sender<Vec<u8>>,
    /// What comes from the guest.
    pub events: Receiver<Event>,
    console: Arc<Mutex<VecDeque<String>>>,
}

impl Qemu {
    /// Starts a machine.
    ///
    /// # Errors
    /// When QEMU is not installed or cannot be started.
    pub fn start(
        kernel: &Path,
        initramfs: &Path,
        accelerator: Accelerator,
        cpus: u32,
        memory_mib: u32,
        kernel_arguments: &str,
    ) -> Result<Qemu, CrosscheckError> {
        let port = format!("virtserialport,chardev=port,name={PORT_NAME}");
        let mut command = Command::new(QEMU);
        command
            .args(accelerator.arguments())
            .args(["-smp", &cpus.to_string(), "-m", &memory_mib.to_string()])
            .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"])
            .args(["-chardev", "file,id=console,path=/dev/fd/2", "-serial", "chardev:console"])
            .args(["-chardev", "stdio,id=port,signal=off", "-device", "virtio-serial-pci", "-device", &port])
            .arg("-kernel")
            .arg(kernel)
            .arg("-initrd")
            .arg(initramfs)
            // An oops ends the machine: what a damaged kernel says afterwards is no verdict.
            .arg("-append")
            .arg(format!("console=ttyS0 quiet panic=-1 oops=panic preempt=full {kernel_arguments}"));
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child =
            child.map_err(|error| CrosscheckError::program(QEMU, "run `apt-get install qemu-system-x86`", error))?;

        let (to_guest, outgoing) = mpsc::channel::<Vec<u8>>();
        let (incoming, events) = mpsc::channel();
        let console = Arc::new(Mutex::new(VecDeque::new()));
        if let Some(mut stdin) = child.stdin.take() {
            thread::spawn(move || {
                outgoing.iter().try_for_each(|bytes| stdin.write_all(&bytes).and_then(|()| stdin.flush()))
            });
        }
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || read_replies(BufReader::new(stdout), &incoming));
        }
        if let Some(stderr) = child.stderr.take() {
            let console = Arc::clone(&console);
            thread::spawn(move || read_console(BufReader::new(stderr), &console));
        }
        Ok(Qemu { child, to_guest, events, console })
    }

    /// Hands bytes to the guest without waiting. `false` when the machine has ended.
    pub fn send(&self, bytes: Vec<u8>) -> bool {
        self.to_guest.send(bytes).is_ok()
    }

    /// The console's last lines.
    #[must_use]
    pub fn console(&self) -> String {
        let lines = self.console.lock().map(|lines| lines.iter().cloned().collect::<Vec<_>>());
        let lines = lines.unwrap_or_default();
        if lines.is_empty() { "(nothing)".into() } else { lines.join("\n") }
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_replies(mut from: impl BufRead, to: &Sender<Event>) {
    loop {
        let mut line = Vec::new();
        let event = match from.by_ref().take(MAX_REPLY).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => Event::Closed,
            Ok(_) => match serde_json::from_slice::<Reply>(&line) {
                Ok(reply) => Event::Reply(Box::new(reply)),
                Err(error) => Event::Garbage(error.to_string()),
            },
        };
        let last = matches!(event, Event::Closed);
        if to.send(event).is_err() || last {
            return;
        }
    }
}

fn read_console(mut from: impl BufRead, to: &Mutex<VecDeque<String>>) {
    loop {
        let mut line = Vec::new();
        match from.by_ref().take(CONSOLE_LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text: String = String::from_utf8_lossy(&line).chars().filter(|c| !c.is_control()).collect();
        if let Ok(mut lines) = to.lock() {
            if lines.len() == CONSOLE_LINES {
                lines.pop_front();
            }
            lines.push_back(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crosscheck::protocol::ReplyBody;

    #[test]
    fn replies_are_told_from_garbage_and_from_the_end() {
        let (to, events) = mpsc::channel();
        let input = b"{\"id\":3,\"body\":\"done\"}\nhello\n";
        read_replies(&input[..], &to);
        assert!(matches!(events.recv(), Ok(Event::Reply(reply)) if reply.id == 3 && reply.body == ReplyBody::Done));
        assert!(matches!(events.recv(), Ok(Event::Garbage(_))));
        assert!(matches!(events.recv(), Ok(Event::Closed)));
    }

    #[test]
    fn the_console_keeps_its_last_lines_only() {
        let console = Mutex::new(VecDeque::new());
        let text: String = (0..500).map(|number| format!("line {number}\r\n")).collect();
        read_console(text.as_bytes(), &console);
        let lines = console.lock().expect("one thread only");
        assert_eq!(lines.len(), CONSOLE_LINES);
        assert_eq!(lines.back().map(String::as_str), Some("line 499"));
    }

    #[test]
    fn a_console_without_line_ends_does_not_grow_without_bound() {
        let console = Mutex::new(VecDeque::new());
        read_console(BufReader::new(std::io::repeat(b'x').take(1 << 20)), &console);
        let lines = console.lock().expect("one thread only");
        assert!(lines.iter().map(String::len).sum::<usize>() <= CONSOLE_LINES * 1000);
    }
}
