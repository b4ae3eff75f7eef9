//! Process 1's loop: reads requests from the port, runs each in a child, passes the children's replies back.
//!
//! As many requests run side by side as there are CPUs, except that a test run and a scenario have the machine to themselves: what
//! they attach would otherwise fire for others.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::thread::sleep;
use std::time::Duration;

use crate::process::{self, Ending};
use crate::protocol::{MAX_PAYLOAD, Reply, ReplyBody, Request, RequestBody};
use crate::{load, run, scenario, setup};

/// Longest request line, in bytes.
const MAX_LINE: usize = 64 << 20;

/// A request with the bytes that came with it.
struct Job {
    request: Request,
    payload: Vec<u8>,
}

/// A child at work on one request.
struct Worker {
    id: u64,
    child: libc::pid_t,
    replies: File,
    /// What came after the last whole line.
    unfinished: Vec<u8>,
    exclusive: bool,
    seconds: u32,
}

/// How long to wait for the host to connect, in steps of [`CONNECT_STEP`].
const CONNECT_STEPS: u32 = 3000;

/// The pause between two looks at a port that the host has not connected to.
const CONNECT_STEP: Duration = Duration::from_millis(10);

/// Serves the host until it asks for the end or hangs up.
pub fn serve(mut port: File) -> io::Result<()> {
    let limit = usize::try_from(crate::libbpf::possible_cpus()).unwrap_or(1).max(1);
    let mut input = wait_for_host(&mut port)?;
    let mut waiting: VecDeque<Job> = VecDeque::new();
    let mut workers: Vec<Worker> = Vec::new();
    loop {
        while let Some(job) = take_job(&mut input)? {
            waiting.push_back(job);
        }
        while let Some(job) = take_startable(&mut waiting, &workers, limit) {
            match job.request.body {
                RequestBody::PowerOff => return Ok(()),
                RequestBody::Hello => {
                    reply(&mut port, job.request.id, ReplyBody::Hello(setup::hello()))?;
                    reply(&mut port, job.request.id, ReplyBody::Done)?;
                }
                _ => workers.push(start(job)?),
            }
        }
        let ready = wait_for_input(&port, &workers)?;
        if ready[0] && read_port(&mut port, &mut input)? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the host hung up"));
        }
        for index in (0..workers.len()).rev() {
            if ready[index + 1] && pass_replies(&mut workers[index], &mut port)? {
                finish(workers.swap_remove(index), &mut port)?;
            }
        }
    }
}

/// The next job, if it may start beside those that run.
fn take_startable(waiting: &mut VecDeque<Job>, workers: &[Worker], limit: usize) -> Option<Job> {
    let next = waiting.front()?;
    let alone = match &next.request.body {
        RequestBody::TestRun(_) | RequestBody::Scenario(_) | RequestBody::PowerOff => true,
        RequestBody::TestRuns(runs) => runs.exclusive,
        RequestBody::Hello | RequestBody::Load(_) => false,
    };
    let free = match (alone, workers) {
        (_, []) => true,
        (true, _) => false,
        (false, _) => workers.len() < limit && !workers.iter().any(|worker| worker.exclusive),
    };
    if free { waiting.pop_front() } else { None }
}

fn start(job: Job) -> io::Result<Worker> {
    let (replies, sink) = process::pipe()?;
    let id = job.request.id;
    let (exclusive, seconds) = match &job.request.body {
        RequestBody::TestRun(run) => (true, run.timeout_seconds),
        // Each run has a limit of its own.
        RequestBody::TestRuns(runs) => (runs.exclusive, 0),
        RequestBody::Scenario(scenario) => (true, scenario.timeout_seconds),
        RequestBody::Load(load) => (false, load.timeout_seconds),
        RequestBody::Hello | RequestBody::PowerOff => (false, 0),
    };
    let child = process::spawn(seconds, || {
        let mut sink = Sink { id, file: sink };
        match &job.request.body {
            RequestBody::Load(request) => load::load(request, &job.payload, &mut sink),
            RequestBody::TestRun(request) => run::test_run(request, &job.payload, &mut sink),
            RequestBody::TestRuns(request) => run::test_runs(request, &job.payload, &mut sink),
            RequestBody::Scenario(request) => scenario::scenario(request, &job.payload, &mut sink),
            RequestBody::Hello | RequestBody::PowerOff => {}
        }
    })?;
    Ok(Worker { id, child, replies, unfinished: Vec::new(), exclusive, seconds })
}

/// Where a child writes its replies.
pub struct Sink {
    id: u64,
    file: File,
}

impl Sink {
    /// Sends one reply. A host that no longer listens is noticed by process 1, not here.
    pub fn send(&mut self, body: ReplyBody) {
        let _ = reply(&mut self.file, self.id, body);
    }
}

fn reply(to: &mut File, id: u64, body: ReplyBody) -> io::Result<()> {
    let mut line = serde_json::to_vec(&Reply { id, body })?;
    line.push(b'\n');
    to.write_all(&line)
}

/// Which of the port (first) and the workers have something to read.
fn wait_for_input(port: &File, workers: &[Worker]) -> io::Result<Vec<bool>> {
    let mut polled: Vec<libc::pollfd> = std::iter::once(port.as_raw_fd())
        .chain(workers.iter().map(|worker| worker.replies.as_raw_fd()))
        .map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 })
        .collect();
    let count = libc::nfds_t::try_from(polled.len()).unwrap_or(libc::nfds_t::MAX);
    // SAFETY: `polled` holds `count` entries and stays in place during the call.
    if unsafe { libc::poll(polled.as_mut_ptr(), count, -1) } == -1 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    Ok(polled.iter().map(|entry| entry.revents != 0).collect())
}

/// Waits until something comes from the host. A port that the host has not yet opened reads as ended.
fn wait_for_host(port: &mut File) -> io::Result<Vec<u8>> {
    let mut input = Vec::new();
    for _ in 0..CONNECT_STEPS {
        if read_port(port, &mut input)? > 0 {
            return Ok(input);
        }
        sleep(CONNECT_STEP);
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, "the host does not open the port"))
}

fn read_port(port: &mut File, input: &mut Vec<u8>) -> io::Result<usize> {
    let mut chunk = vec![0; 64 << 10];
    let count = port.read(&mut chunk)?;
    input.extend_from_slice(&chunk[..count]);
    Ok(count)
}

/// Cuts one whole request off the front of what was read.
fn take_job(input: &mut Vec<u8>) -> io::Result<Option<Job>> {
    let Some(end) = input.iter().position(|&byte| byte == b'\n') else {
        return if input.len() > MAX_LINE { Err(io::Error::other("request line too long")) } else { Ok(None) };
    };
    let request: Request = serde_json::from_slice(&input[..end])?;
    if request.payload > MAX_PAYLOAD {
        return Err(io::Error::other("payload too large"));
    }
    let total = end + 1 + request.payload;
    if input.len() < total {
        return Ok(None);
    }
    let rest = input.split_off(total);
    let mut message = std::mem::replace(input, rest);
    let payload = message.split_off(end + 1);
    Ok(Some(Job { request, payload }))
}

/// Passes whole lines on; `true` when the worker has closed its end.
fn pass_replies(worker: &mut Worker, port: &mut File) -> io::Result<bool> {
    let mut chunk = vec![0; 64 << 10];
    let count = worker.replies.read(&mut chunk)?;
    worker.unfinished.extend_from_slice(&chunk[..count]);
    if let Some(end) = chunk[..count].iter().rposition(|&byte| byte == b'\n') {
        let whole = worker.unfinished.len() - count + end + 1;
        let rest = worker.unfinished.split_off(whole);
        port.write_all(&std::mem::replace(&mut worker.unfinished, rest))?;
    }
    Ok(count == 0)
}

fn finish(worker: Worker, port: &mut File) -> io::Result<()> {
    let ending: Ending = process::wait_for(worker.child);
    if let Some(message) = ending.complaint(worker.seconds) {
        reply(port, worker.id, ReplyBody::Failed { message })?;
    }
    reply(port, worker.id, ReplyBody::Done)
}
