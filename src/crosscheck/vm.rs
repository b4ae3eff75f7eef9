//! One booted kernel and the conversation with its guest: requests go out, replies come back, deadlines hold.

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::protocol::{
    Hello, Reply, ReplyBody, Request, RequestBody, ScenarioRequest, ScenarioResult, TestRunRequest, TestRunResult,
};
use super::qemu::{Accelerator, Event, Qemu};
use super::{CrosscheckError, KernelImage, initramfs};

/// Boots that are tried under emulation.
const BOOTS: u32 = 3;

/// How long KVM may take to bring the guest up before translation is tried instead.
const KVM_PATIENCE: Duration = Duration::from_secs(20);

/// How to boot.
#[derive(Debug, Clone)]
pub struct BootOptions {
    /// The guest program; see [`crate::crosscheck::guest::locate`].
    pub guest: PathBuf,
    /// How many CPUs the machine has.
    pub cpus: u32,
    /// How much memory it has, in MiB.
    pub memory_mib: u32,
    /// How its CPUs are made; `None` tries KVM where it is offered, and translation where that does not work.
    pub accelerator: Option<Accelerator>,
    /// How long the boot may take.
    pub boot_timeout: Duration,
    /// Whether the kernel lays itself out at other addresses with each boot.
    pub random_addresses: bool,
    /// Whether the kernel guards against what processors do speculatively. It is quicker without, and the verifier asks
    /// less of unprivileged programs then (`cpu_mitigations_off`).
    pub mitigations: bool,
}

impl BootOptions {
    /// Four CPUs, 2 GiB, two minutes to boot.
    #[must_use]
    pub fn new(guest: PathBuf) -> BootOptions {
        BootOptions {
            guest,
            cpus: 4,
            memory_mib: 2048,
            accelerator: None,
            boot_timeout: Duration::from_secs(120),
            random_addresses: false,
            mitigations: false,
        }
    }

    /// What the kernel's command line says of these choices.
    fn kernel_arguments(&self) -> String {
        let layout = if self.random_addresses { "kaslr" } else { "nokaslr" };
        let guards = if self.mitigations { "auto" } else { "off" };
        format!("{layout} mitigations={guards}")
    }
}

/// A booted kernel. Dropping it ends the machine.
#[derive(Debug)]
pub struct Vm {
    qemu: Qemu,
    hello: Hello,
    next_id: u64,
    /// Holds the initramfs as long as QEMU may read it.
    _files: TempDir,
}

impl Vm {
    /// Boots a kernel and waits until its guest answers.
    ///
    /// # Errors
    /// When QEMU is missing, the kernel does not boot, or the guest does not answer in time.
    pub fn boot(image: &KernelImage, options: &BootOptions) -> Result<Vm, CrosscheckError> {
        match options.accelerator {
            Some(Accelerator::Tcg) => Vm::boot_emulated(image, options),
            Some(accelerator) => Vm::boot_with(image, options, accelerator, options.boot_timeout),
            None if Accelerator::kvm_is_offered() => {
                // Only a boot shows whether KVM truly works.
                let patience = KVM_PATIENCE.min(options.boot_timeout);
                Vm::boot_with(image, options, Accelerator::Kvm, patience).or_else(|_| Vm::boot_emulated(image, options))
            }
            None => Vm::boot_emulated(image, options),
        }
    }

    /// Now and then a kernel that patches its code while another emulated CPU runs it dies of a breakpoint that nobody set, most
    /// often while it boots. Such a boot is tried again.
    fn boot_emulated(image: &KernelImage, options: &BootOptions) -> Result<Vm, CrosscheckError> {
        for _ in 1..BOOTS {
            match Vm::boot_with(image, options, Accelerator::Tcg, options.boot_timeout) {
                Err(CrosscheckError::Died { console, .. }) if console.contains("Oops: int3") => {}
                other => return other,
            }
        }
        Vm::boot_with(image, options, Accelerator::Tcg, options.boot_timeout)
    }

    fn boot_with(
        image: &KernelImage,
        options: &BootOptions,
        accelerator: Accelerator,
        timeout: Duration,
    ) -> Result<Vm, CrosscheckError> {
        let read = |path: &PathBuf| fs::read(path).map_err(|error| CrosscheckError::io(path, error));
        let guest = read(&options.guest)?;
        let config = image.config.as_ref().map(read).transpose()?;
        let here = |source| CrosscheckError::Io { place: "temporary folder".into(), source };
        let files = tempfile::Builder::new().prefix("kptrsim-").tempdir().map_err(here)?;
        let archive = files.path().join("initramfs");
        let packed = initramfs::pack(&guest, &image.release, config.as_deref()).map_err(here)?;
        fs::write(&archive, packed).map_err(|error| CrosscheckError::io(&archive, error))?;
        let qemu = Qemu::start(
            &image.path,
            &archive,
            accelerator,
            options.cpus,
            options.memory_mib,
            &options.kernel_arguments(),
        )?;
        let nobody = Hello {
            release: String::new(),
            version: String::new(),
            machine: String::new(),
            cpus: 0,
            has_config: false,
        };
        let mut vm = Vm { qemu, hello: nobody, next_id: 0, _files: files };
        for body in vm.request(RequestBody::Hello, &[], timeout)? {
            if let ReplyBody::Hello(hello) = body {
                vm.hello = hello;
            }
        }
        Ok(vm)
    }

    /// What the guest said of itself.
    #[must_use]
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// The console's last lines.
    #[must_use]
    pub fn console(&self) -> String {
        self.qemu.console()
    }

    /// Sends a request without waiting; returns the id that its replies will have.
    ///
    /// # Errors
    /// When the machine has ended.
    pub fn submit(&mut self, body: RequestBody, payload: &[u8]) -> Result<u64, CrosscheckError> {
        self.next_id += 1;
        let request = Request { id: self.next_id, payload: payload.len(), body };
        let mut message = serde_json::to_vec(&request)
            .map_err(|error| CrosscheckError::Io { place: "request".into(), source: error.into() })?;
        message.push(b'\n');
        message.extend_from_slice(payload);
        if self.qemu.send(message) { Ok(self.next_id) } else { Err(self.died("ended")) }
    }

    /// Waits for the next reply, of whatever request.
    ///
    /// # Errors
    /// When none comes in time, or the machine ends.
    pub fn next_reply(&mut self, timeout: Duration) -> Result<Reply, CrosscheckError> {
        match self.qemu.events.recv_timeout(timeout) {
            Ok(Event::Reply(reply)) => Ok(*reply),
            Ok(Event::Garbage(what)) => Err(CrosscheckError::Garbled { what, console: self.qemu.console() }),
            Ok(Event::Closed) | Err(RecvTimeoutError::Disconnected) => Err(self.died("ended")),
            Err(RecvTimeoutError::Timeout) => {
                Err(CrosscheckError::Timeout { after: timeout, console: self.qemu.console() })
            }
        }
    }

    /// Sends one request and waits for all of its replies. Replies to other requests are dropped.
    ///
    /// # Errors
    /// When they do not all come in time, or the machine ends.
    pub fn request(
        &mut self,
        body: RequestBody,
        payload: &[u8],
        timeout: Duration,
    ) -> Result<Vec<ReplyBody>, CrosscheckError> {
        let deadline = Instant::now() + timeout;
        let id = self.submit(body, payload)?;
        let mut replies = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let reply = self.next_reply(left).map_err(|error| match error {
                CrosscheckError::Timeout { console, .. } => CrosscheckError::Timeout { after: timeout, console },
                other => other,
            })?;
            match reply.body {
                _ if reply.id != id => {}
                ReplyBody::Done => return Ok(replies),
                body => replies.push(body),
            }
        }
    }

    /// Loads programs of one object together and runs them in the given order.
    ///
    /// A program that the kernel rejects, or a global that does not exist, is the result's `error`, not an error here.
    ///
    /// # Errors
    /// When the guest refuses, dies, or does not answer within the request's time and half a minute.
    pub fn test_run(&mut self, object: &[u8], request: TestRunRequest) -> Result<TestRunResult, CrosscheckError> {
        let timeout = Duration::from_secs(u64::from(request.timeout_seconds) + 30);
        for body in self.request(RequestBody::TestRun(request), object, timeout)? {
            match body {
                ReplyBody::TestRun(result) => return Ok(result),
                ReplyBody::Failed { message } => return Err(CrosscheckError::Refused { message }),
                _ => {}
            }
        }
        Err(CrosscheckError::Refused { message: "no result came".into() })
    }

    /// Runs programs of one object concurrently, many times over.
    ///
    /// What goes wrong with the programs is the result's `error`, not an error here.
    ///
    /// # Errors
    /// When the guest refuses, dies, or does not answer within the request's time and half a minute.
    pub fn scenario(&mut self, object: &[u8], request: ScenarioRequest) -> Result<ScenarioResult, CrosscheckError> {
        let timeout = Duration::from_secs(u64::from(request.timeout_seconds) + 30);
        for body in self.request(RequestBody::Scenario(request), object, timeout)? {
            match body {
                ReplyBody::Scenario(result) => return Ok(result),
                ReplyBody::Failed { message } => return Err(CrosscheckError::Refused { message }),
                _ => {}
            }
        }
        Err(CrosscheckError::Refused { message: "no result came".into() })
    }

    /// The machine's end as an error. A panicking kernel closes the port before its last words have come through.
    fn died(&self, how: &str) -> CrosscheckError {
        std::thread::sleep(Duration::from_millis(300));
        CrosscheckError::Died { how: how.to_owned(), console: self.qemu.console() }
    }
}
