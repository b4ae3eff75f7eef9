//! Watching the current exercise: it is checked whenever it is saved, until all are solved.
//!
//! The file is read ten times a second and checked when it has changed and then stayed the same: that works with every editor,
//! however it saves, and on every file system.

use std::io::{self, BufRead, IsTerminal};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use super::super::{interrupt, output};
use super::{Course, LearnError};
use crate::lessons::{Lesson, WorkshopError};

/// Time between two looks at the file.
const PULSE: Duration = Duration::from_millis(100);

/// Clears the terminal and goes to its upper left corner.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// What the learner asks for: a letter and Enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    Go,
    Hint,
    Next,
    List,
    Solution,
    Quit,
    Unknown,
}

impl Request {
    fn from_line(line: &str) -> Request {
        match line.trim() {
            "" => Request::Go,
            "h" | "hint" => Request::Hint,
            "n" | "next" => Request::Next,
            "l" | "list" => Request::List,
            "s" | "solution" => Request::Solution,
            "q" | "quit" => Request::Quit,
            _ => Request::Unknown,
        }
    }
}

/// The learner's lines, as they come.
struct Keyboard {
    lines: Option<Receiver<String>>,
    /// Is there somebody to press Enter?
    present: bool,
}

impl Keyboard {
    fn listen() -> Keyboard {
        let (sender, lines) = channel();
        // It ends with the process: a read from a terminal cannot be called off.
        thread::spawn(move || io::stdin().lock().lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Keyboard { lines: Some(lines), present: io::stdin().is_terminal() }
    }

    /// A request, if one comes within a pulse.
    fn request(&mut self) -> Option<Request> {
        match self.lines.as_ref().map(|lines| lines.recv_timeout(PULSE)) {
            Some(Ok(line)) => Some(Request::from_line(&line)),
            Some(Err(RecvTimeoutError::Timeout)) => None,
            Some(Err(RecvTimeoutError::Disconnected)) => {
                (self.lines, self.present) = (None, false);
                None
            }
            None => {
                thread::sleep(PULSE);
                None
            }
        }
    }
}

/// What comes after an exercise was checked.
enum After {
    /// The same again: its file has changed, or its screen is to be drawn again.
    Again,
    /// Another one.
    Next,
    /// Nothing.
    Leave,
}

/// Watches one exercise after the other until all are solved, or the learner leaves.
pub fn watch(course: &Course) -> Result<ExitCode, LearnError> {
    let stop = interrupt::stop_flag()?;
    let mut keyboard = Keyboard::listen();
    let mut current = course.current(&course.progress()?);
    while let Some(lesson) = current {
        match attend(course, lesson, &mut keyboard, &stop)? {
            After::Again => {}
            After::Next => current = following(course, lesson)?,
            After::Leave => {
                output::print("\nYour progress is kept; `kptrsim learn` goes on from here.\n")?;
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
    let all = course.lessons.len();
    output::print(&format!(
        "{}\nAll exercises are solved. `kptrsim learn solution N` shows ours, `kptrsim learn check --all` checks yours again,\nand \
         the rest of kptrsim is for programs of your own.\n",
        course.words.bar(all, all)
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// The next exercise that is not solved, those after this one first.
fn following<'a>(course: &'a Course, lesson: &Lesson) -> Result<Option<&'a Lesson>, LearnError> {
    let progress = course.progress()?;
    let open = |one: &&Lesson| !progress.solved.contains(one.name);
    let later = course.lessons.iter().filter(open).find(|one| one.number() > lesson.number());
    Ok(later.or_else(|| course.lessons.iter().find(open)))
}

/// Checks an exercise, shows what came of it, and waits for a change or a request.
fn attend(course: &Course, lesson: &Lesson, keyboard: &mut Keyboard, stop: &AtomicBool) -> Result<After, LearnError> {
    let seen = course.workshop.contents(lesson).ok();
    let Some(solved) = present(course, lesson, stop)? else { return Ok(After::Leave) };
    if solved && !keyboard.present {
        return Ok(After::Next);
    }
    output::print(help(solved))?;
    let mut last = seen.clone();
    loop {
        if stop.load(Ordering::Relaxed) {
            return Ok(After::Leave);
        }
        if let Some(request) = keyboard.request()
            && let Some(after) = answer(course, lesson, request, solved)?
        {
            return Ok(after);
        }
        let now = course.workshop.contents(lesson).ok();
        if now != seen && now == last {
            return Ok(After::Again);
        }
        last = now;
    }
}

/// Checks an exercise and shows what came of it. Is it solved? `None` if the learner has left meanwhile.
fn present(course: &Course, lesson: &Lesson, stop: &AtomicBool) -> Result<Option<bool>, LearnError> {
    let words = &course.words;
    let path = course.workshop.path(lesson);
    let result = course.check(lesson, stop);
    // clang hears Ctrl-C as well, and what it says then is no answer.
    if stop.load(Ordering::Relaxed) {
        return Ok(None);
    }
    let text = match &result {
        Ok(Ok(passed)) => words.heading(lesson, &path) + "\n" + &words.passed(lesson, passed),
        Ok(Err(failure)) => words.failed(lesson, &path, failure),
        Err(LearnError::Workshop(gone @ WorkshopError::Gone { .. })) => {
            format!("{}\n{gone}\n", words.heading(lesson, &path))
        }
        Err(_) => return result.map(|_| None),
    };
    let progress = course.progress()?;
    let count = course.lessons.iter().filter(|one| progress.solved.contains(one.name)).count();
    let clear = if io::stdout().is_terminal() { CLEAR } else { "" };
    output::print(&format!("{clear}{}\n{text}\n", words.bar(count, course.lessons.len())))?;
    Ok(Some(matches!(result, Ok(Ok(_)))))
}

fn help(solved: bool) -> &'static str {
    if solved {
        "Enter: next exercise   s: our solution   l: list   q: quit   (each with Enter)\n"
    } else {
        "Mend the file and save it. h: hint   n: next exercise   l: list   q: quit   (each with Enter)\n"
    }
}

/// Does what was asked. `None` to go on waiting.
fn answer(course: &Course, lesson: &Lesson, request: Request, solved: bool) -> Result<Option<After>, LearnError> {
    let text = match request {
        Request::Quit => return Ok(Some(After::Leave)),
        Request::Next => return Ok(Some(After::Next)),
        Request::Go => return Ok(Some(if solved { After::Next } else { After::Again })),
        Request::Hint => course.hint(lesson)?,
        Request::List => {
            let progress = course.progress()?;
            course.words.list(&course.lessons, &progress, Some(lesson.name))
        }
        Request::Solution if solved => lesson.solution.to_owned(),
        Request::Solution => {
            format!("Not solved yet; `kptrsim learn solution {} --show` shows it all the same.\n", lesson.number())
        }
        Request::Unknown => help(solved).to_owned(),
    };
    output::print(&text)?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_letters_or_words() {
        for (line, request) in [
            ("h", Request::Hint),
            (" hint ", Request::Hint),
            ("", Request::Go),
            ("q", Request::Quit),
            ("x", Request::Unknown),
        ] {
            assert_eq!(Request::from_line(line), request, "{line:?}");
        }
    }
}
