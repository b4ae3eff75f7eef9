//! `kptrsim step` in a terminal: tmux's, whose keys are pressed and whose screen is read. Where tmux is not installed these are ignored.

use std::process::{Command, ExitCode, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use kptrsim::cli::step::with_terminal;
use libtest_mimic::{Arguments, Failed, Trial};

const KPTRSIM: &str = env!("CARGO_BIN_EXE_kptrsim");
const FOLDER: &str = env!("CARGO_MANIFEST_DIR");
/// One CPU counts while another takes the counter away.
const WORDS: &str = "examples/percpu_counter.bpf.o --set nr_cpus=2 --first create --on 0:count --on 1:destroy";
/// Until then a screen has to come; machines under load are slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// Set, this program takes the terminal as the stepper does, with the mouse or without it, and panics.
const PANICS: &str = "KPTRSIM_STEPPER_TEST_PANICS";

/// A trial: its name, whether it needs tmux, and what it does.
type Named = (&'static str, bool, fn() -> Result<(), Failed>);

fn main() -> ExitCode {
    if let Some(mouse) = std::env::var_os(PANICS) {
        let _ = with_terminal(mouse == "mouse", |_| panic!("inside of the stepper"));
        return ExitCode::SUCCESS;
    }
    let tmux = Command::new("tmux").arg("-V").output().is_ok_and(|output| output.status.success());
    let trials: Vec<Named> = vec![
        ("without_a_terminal", false, without_a_terminal),
        ("keys_step_and_go_back", true, keys_step_and_go_back),
        ("the_token_on_the_screen_replays", true, the_token_on_the_screen_replays),
        ("a_token_is_followed_to_its_finding", true, a_token_is_followed_to_its_finding),
        ("the_terminal_may_change_its_size", true, the_terminal_may_change_its_size),
        ("ctrl_c_and_a_signal_give_the_terminal_back", true, ctrl_c_and_a_signal_give_the_terminal_back),
        ("programs_are_picked_and_verified", true, programs_are_picked_and_verified),
        ("a_click_chooses_the_next_step", true, a_click_chooses_the_next_step),
        ("a_panic_gives_the_terminal_back", true, a_panic_gives_the_terminal_back),
        ("a_long_step_is_broken_off", true, a_long_step_is_broken_off),
    ];
    let trials = trials.into_iter().map(|(name, needs, run)| Trial::test(name, run).with_ignored_flag(needs && !tmux));
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

/// A terminal with a shell in it.
struct Terminal {
    socket: String,
}

impl Terminal {
    fn new(width: u32, height: u32) -> Result<Terminal, Failed> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let terminal = Terminal { socket: format!("kptrsim-{}-{number}", std::process::id()) };
        let (width, height) = (width.to_string(), height.to_string());
        let shell = "exec env PS1='shell> ' sh";
        terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", &width, "-y", &height, "-c", FOLDER, shell])?;
        terminal.shows("shell>")?;
        Ok(terminal)
    }

    /// The stepper in such a terminal.
    fn stepping(width: u32, height: u32, words: &str) -> Result<Terminal, Failed> {
        let terminal = Terminal::new(width, height)?;
        terminal.line(&format!("{KPTRSIM} step {words}; echo left with $?"))?;
        Ok(terminal)
    }

    fn tmux(&self, arguments: &[&str]) -> Result<String, Failed> {
        let output = Command::new("tmux").arg("-L").arg(&self.socket).args(arguments).output()?;
        if !output.status.success() {
            return Err(format!("tmux {arguments:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn keys(&self, keys: &[&str]) -> Result<(), Failed> {
        keys.iter().try_for_each(|key| self.tmux(&["send-keys", key]).map(drop))
    }

    /// Types a line.
    fn line(&self, text: &str) -> Result<(), Failed> {
        self.tmux(&["send-keys", "-l", text])?;
        self.keys(&["Enter"])
    }

    fn screen(&self) -> Result<String, Failed> {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Waits until the screen has that text, and returns the screen.
    fn shows(&self, text: &str) -> Result<String, Failed> {
        self.comes(text, |screen| screen.contains(text))
    }

    fn comes(&self, what: &str, is_there: impl Fn(&str) -> bool) -> Result<String, Failed> {
        let end = Instant::now() + PATIENCE;
        loop {
            let screen = self.screen()?;
            if is_there(&screen) {
                return Ok(screen);
            }
            if Instant::now() > end {
                return Err(format!("`{what}` does not come; the screen is:\n{screen}").into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The stepper has ended with that code and left the terminal as a shell needs it.
    fn is_given_back(&self, code: i32) -> Result<(), Failed> {
        self.shows(&format!("left with {code}"))?;
        // What is typed must not look like what is printed.
        self.line("clear; stty -a; echo en''d")?;
        let screen = self.comes("end", |screen| screen.lines().any(|line| line.trim() == "end"))?;
        let words: Vec<&str> = screen.split([' ', ';', '\n']).collect();
        let has = |word: &str| words.contains(&word);
        if !(has("echo") && has("icanon") && has("isig")) {
            return Err(format!("the terminal is still raw:\n{screen}").into());
        }
        let flags = self.tmux(&["display-message", "-p", "#{alternate_on} #{cursor_flag} #{mouse_any_flag}"])?;
        if flags.trim() == "0 1 0" { Ok(()) } else { Err(format!("other screen, cursor, mouse: {flags}").into()) }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.tmux(&["kill-server"]);
    }
}

fn kptrsim(words: &str) -> Result<Output, Failed> {
    let output = Command::new(KPTRSIM).args(words.split_whitespace()).current_dir(FOLDER).stdin(Stdio::null()).output();
    Ok(output?)
}

fn expect(is_so: bool, what: &str, screen: &str) -> Result<(), Failed> {
    if is_so { Ok(()) } else { Err(format!("{what}:\n{screen}").into()) }
}

fn without_a_terminal() -> Result<(), Failed> {
    let output = kptrsim(&format!("step {WORDS}"))?;
    let message = String::from_utf8_lossy(&output.stderr);
    expect(output.status.code() == Some(2) && output.stdout.is_empty(), "it is wrong use", &message)?;
    expect(message.contains("needs a terminal"), "it says why", &message)
}

fn keys_step_and_go_back() -> Result<(), Failed> {
    let terminal = Terminal::stepping(80, 24, WORDS)?;
    let start = terminal.shows("CPU 0 starts count")?;
    expect(start.contains("step 0") && start.contains("112 int count"), "the program is shown", &start)?;
    terminal.keys(&["s", "s", "s", "s"])?;
    let middle = terminal.comes("the third instruction", |screen| screen.contains("count at 3"))?;
    expect(middle.contains("step 1") && middle.contains("in an RCU section"), "the CPU is shown", &middle)?;
    terminal.keys(&["Down", "Enter", "Enter", "Enter", "2"])?;
    terminal.shows("counter #1 owned by CPU 1")?;
    terminal.keys(&["Enter"])?;
    terminal.shows("counter #1 waiting: held back by")?;
    terminal.keys(&["Left", "Left"])?;
    terminal.shows("counter #1 published in")?;
    terminal.keys(&["c"])?;
    terminal.comes("the run's end", |screen| screen.contains(", over") && screen.contains("nothing is wrong"))?;
    terminal.keys(&["g"])?;
    terminal.shows("step 0 of")?;
    terminal.keys(&["?"])?;
    terminal.shows("back by one move")?;
    terminal.keys(&["q", "q"])?;
    terminal.is_given_back(0)
}

fn the_token_on_the_screen_replays() -> Result<(), Failed> {
    // Wide enough for a token in one line.
    let terminal = Terminal::stepping(400, 50, WORDS)?;
    terminal.shows("CPU 0 starts count")?;
    terminal.keys(&["Enter", "Enter", "Enter", "Down", "Enter", "c"])?;
    terminal.shows(", over")?;
    terminal.keys(&["t"])?;
    let screen = terminal.shows("ks1:")?;
    let token = screen.split_whitespace().find_map(|word| Some(&word[word.find("ks1:")?..]));
    let token = token.map_or("", |token| token.trim_end_matches('│'));
    let output = kptrsim(&format!("replay {token} {WORDS}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    expect(output.status.code() == Some(0), "the token replays", &String::from_utf8_lossy(&output.stderr))?;
    expect(text.contains(&format!("token: {token}")) && text.contains("outcome: "), "to the end", &text)
}

fn a_token_is_followed_to_its_finding() -> Result<(), Failed> {
    // A race needs no compiler: what is counted is summed up meanwhile.
    let words = "examples/percpu_counter.bpf.o --set nr_cpus=2 --first create --on 0:count --on 1:sum";
    let output = kptrsim(&format!("explore {words} --policy dpor --format json"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let token = text.split('"').find(|word| word.starts_with("ks1:")).unwrap_or_default().to_owned();
    expect(output.status.code() == Some(1) && !token.is_empty(), "a race is found", &text)?;
    let terminal = Terminal::stepping(120, 40, &format!("{token} {words}"))?;
    terminal.shows("a plan of")?;
    terminal.keys(&["f"])?;
    terminal.shows("step 1 of")?;
    terminal.keys(&["c"])?;
    let screen = terminal.shows("found: data-race")?;
    expect(screen.contains("nothing orders two accesses"), "the finding is told", &screen)
}

fn the_terminal_may_change_its_size() -> Result<(), Failed> {
    let terminal = Terminal::stepping(80, 24, WORDS)?;
    terminal.shows("CPU 0 starts count")?;
    terminal.tmux(&["resize-window", "-x", "70", "-y", "20"])?;
    terminal.shows("needs 80 columns and 24 rows")?;
    terminal.tmux(&["resize-window", "-x", "160", "-y", "45"])?;
    let wide = terminal.shows("1 CPU 2 obj 3 val")?;
    expect(wide.lines().any(|line| line.matches('┌').count() == 3), "there are three columns", &wide)?;
    terminal.tmux(&["resize-window", "-x", "80", "-y", "24"])?;
    terminal.comes("two columns", |screen| screen.lines().any(|line| line.matches('┌').count() == 2))?;
    terminal.keys(&["q"])?;
    terminal.is_given_back(0)
}

fn ctrl_c_and_a_signal_give_the_terminal_back() -> Result<(), Failed> {
    let terminal = Terminal::stepping(80, 24, &format!("{WORDS} --mouse"))?;
    terminal.shows("CPU 0 starts count")?;
    terminal.keys(&["C-c"])?;
    terminal.is_given_back(0)?;
    terminal.line(&format!("clear; {KPTRSIM} step {WORDS}; echo left with $?"))?;
    terminal.shows("CPU 0 starts count")?;
    let shell = terminal.tmux(&["display-message", "-p", "#{pane_pid}"])?;
    let shell = shell.trim();
    let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children"))?;
    let process = children.trim();
    expect(process.parse::<u32>().is_ok(), "the shell runs one process", &children)?;
    expect(Command::new("kill").args(["-INT", process]).status()?.success(), "it can be told", process)?;
    terminal.is_given_back(0)
}

fn programs_are_picked_and_verified() -> Result<(), Failed> {
    let terminal = Terminal::stepping(80, 24, "examples/percpu_counter.bpf.o")?;
    terminal.shows("what runs where?")?;
    terminal.keys(&["a", "n", "j", "a"])?;
    terminal.shows("CPU 1: count")?;
    terminal.keys(&["Enter"])?;
    terminal.shows("CPU 1 starts count")?;
    terminal.keys(&["v"])?;
    terminal.shows("create is accepted")?;
    terminal.keys(&["Enter", "2"])?;
    terminal.shows("has to be given back")?;
    terminal.keys(&["v", "q"])?;
    terminal.is_given_back(0)?;
    let terminal = Terminal::stepping(80, 24, "--verify=count examples/percpu_counter.bpf.o")?;
    terminal.shows("count: accepted")?;
    terminal.keys(&["v"])?;
    terminal.shows("there is no machine")?;
    terminal.keys(&["q"])?;
    terminal.is_given_back(0)
}

fn a_click_chooses_the_next_step() -> Result<(), Failed> {
    let terminal = Terminal::stepping(80, 24, &format!("{WORDS} --mouse"))?;
    let screen = terminal.shows("CPU 1 starts destroy")?;
    let row = screen.lines().position(|line| line.contains("CPU 1 starts")).unwrap_or(0) + 1;
    let column = screen.lines().nth(row - 1).and_then(|line| line.find("CPU 1")).unwrap_or(0);
    // A click as terminals tell it (SGR mode): pressed and let go, at the column and row, from 1.
    let click = format!("\x1b[<0;{column};{row}M\x1b[<0;{column};{row}m");
    terminal.tmux(&["send-keys", "-l", &click])?;
    terminal.keys(&["Enter"])?;
    terminal.comes("CPU 1 runs destroy", |screen| screen.contains("step 1") && screen.contains("│destroy at "))?;
    terminal.keys(&["q"])?;
    terminal.is_given_back(0)
}

fn a_panic_gives_the_terminal_back() -> Result<(), Failed> {
    let this = std::env::current_exe()?;
    for mouse in ["mouse", "none"] {
        let terminal = Terminal::new(80, 24)?;
        terminal.line(&format!("{PANICS}={mouse} {}; echo left with $?", this.display()))?;
        terminal.shows("inside of the stepper")?;
        terminal.is_given_back(101)?;
    }
    Ok(())
}

fn a_long_step_is_broken_off() -> Result<(), Failed> {
    let clang = Command::new("clang-19").arg("--version").output().is_ok_and(|output| output.status.success());
    if !clang {
        println!("skipped: there is no clang-19 to compile a long loop with");
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let source = folder.path().join("long.bpf.c");
    std::fs::write(&source, LONG)?;
    // So many instructions that no machine is done before the keys come.
    let words = format!("{} --on 0:count --max-insns 1000000000000000", source.display());
    let terminal = Terminal::stepping(100, 30, &words)?;
    terminal.shows("CPU 0 starts count")?;
    terminal.keys(&["s", "n", "n"])?;
    terminal.shows("Esc stops")?;
    terminal.keys(&["Escape"])?;
    terminal.shows("stopped")?;
    terminal.keys(&["g"])?;
    terminal.shows("CPU 0 starts count")?;
    // Ctrl-C does not wait for the end.
    terminal.keys(&["s", "n", "n"])?;
    terminal.shows("Esc stops")?;
    terminal.keys(&["C-c"])?;
    terminal.is_given_back(0)
}

/// A loop that others see nothing of, on one line.
const LONG: &str = r#"#include "kptrsim.h"

SEC("tc")
int count(struct __sk_buff *skb)
{
	unsigned long number = 0;

	for (number = 0; number < 1000000000000; number++) asm volatile("" : "+r"(number));
	return 0;
}
"#;
