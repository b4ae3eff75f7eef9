//! Chromium without a window, spoken to over a pipe in its DevTools protocol.

use std::cell::{Cell, RefCell};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// Names under which it is installed.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// The program to start, if there is one. `KPTRSIM_CHROMIUM` names another.
pub fn chromium() -> Option<String> {
    let named = std::env::var("KPTRSIM_CHROMIUM").ok();
    let runs = |name: &String| {
        let version = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    };
    named.into_iter().chain(NAMES.map(String::from)).find(runs)
}

/// A browser with one page.
pub struct Browser {
    process: Child,
    to: RefCell<ChildStdin>,
    from: Receiver<Value>,
    next: Cell<u64>,
    session: RefCell<Option<String>>,
    events: RefCell<Vec<Value>>,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts one.
    pub fn start() -> Browser {
        let profile = tempfile::tempdir().expect("a folder for the browser's profile");
        // The pipe is on the file descriptors 3 and 4; the shell puts it there.
        let mut process = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null", "sh"])
            .arg(chromium().expect("looked for before"))
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--hide-scrollbars"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args(["--remote-debugging-pipe", "about:blank"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the browser starts");
        let to = process.stdin.take().expect("piped");
        let mut from = BufReader::new(process.stdout.take().expect("piped"));
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            let mut message = Vec::new();
            while from.read_until(0, &mut message).is_ok_and(|count| count > 0) {
                message.pop();
                let Ok(value) = serde_json::from_slice(&message) else { break };
                if sender.send(value).is_err() {
                    break;
                }
                message.clear();
            }
        });
        let browser = Browser {
            process,
            to: RefCell::new(to),
            from: receiver,
            next: Cell::new(1),
            session: RefCell::new(None),
            events: RefCell::default(),
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = browser.call("Target.attachToTarget", attach);
        *browser.session.borrow_mut() = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    /// A browser of that many pixels, as a phone's if it is narrow, showing a file; `rest` follows the file's address.
    pub fn open(file: &Path, rest: &str, (width, height): (u32, u32)) -> Browser {
        let browser = Browser::start();
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500});
        browser.call("Emulation.setDeviceMetricsOverride", metrics);
        browser.show(file, rest);
        browser
    }

    /// Shows a file.
    pub fn show(&self, file: &Path, rest: &str) {
        // An address that differs in its fragment only would not be loaded anew.
        self.navigate("about:blank");
        self.navigate(&format!("file://{}{rest}", file.display()));
    }

    fn navigate(&self, url: &str) {
        self.events.borrow_mut().retain(|event| event["method"] != "Page.loadEventFired");
        self.call("Page.navigate", json!({"url": url}));
        while !self.events.borrow().iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = self.from.recv_timeout(PATIENCE).expect("the page loads");
            self.events.borrow_mut().push(event);
        }
    }

    /// Calls a method of the protocol.
    pub fn call(&self, method: &str, params: Value) -> Value {
        let id = self.next.get();
        self.next.set(id + 1);
        let mut message = json!({"id": id, "method": method, "params": params});
        if let Some(session) = &*self.session.borrow() {
            message["sessionId"] = json!(session);
        }
        let mut bytes = serde_json::to_vec(&message).expect("JSON");
        bytes.push(0);
        self.to.borrow_mut().write_all(&bytes).expect("the browser listens");
        loop {
            let answer = self.from.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no answer to {method}"));
            if answer["id"] == json!(id) {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
            self.events.borrow_mut().push(answer);
        }
    }

    /// The value of an expression in the page.
    pub fn value(&self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let result = self.call("Runtime.evaluate", params);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {}", result["exceptionDetails"]);
        result["result"]["value"].clone()
    }

    /// Waits until an expression in the page is true.
    pub fn until(&self, expression: &str) {
        let looked = self.value(&format!(
            "new Promise((done) => {{ let left = 2000; const look = () => ({expression}) ? done(true) : \
             left-- === 0 ? done(false) : setTimeout(look, 10); look(); }})"
        ));
        assert_eq!(looked, json!(true), "{expression}");
    }

    /// The same, of an expression that is a text.
    pub fn text(&self, expression: &str) -> String {
        self.value(expression).as_str().unwrap_or_else(|| panic!("{expression} is no text")).to_owned()
    }

    /// The text of the first element of a CSS selector, with single spaces.
    pub fn text_of(&self, selector: &str) -> String {
        let quoted = json!(selector);
        self.text(&format!("document.querySelector({quoted}).textContent.replace(/\\s+/g, ' ').trim()"))
    }

    /// Presses a key, by its name as `KeyboardEvent.key` has it.
    pub fn press(&self, key: &str) {
        self.press_with(key, 0);
    }

    /// The same with Alt (1), Control (2), Meta (4), Shift (8).
    pub fn press_with(&self, key: &str, modifiers: u32) {
        let code = match key {
            "Tab" => 9,
            "Enter" => 13,
            "End" => 35,
            "Home" => 36,
            "ArrowLeft" => 37,
            "ArrowRight" => 39,
            _ => 0,
        };
        let text = if key.chars().count() == 1 { key } else { "" };
        for kind in ["keyDown", "keyUp"] {
            let mut params = json!({"type": kind, "key": key, "windowsVirtualKeyCode": code, "modifiers": modifiers});
            if kind == "keyDown" && !text.is_empty() {
                params["text"] = json!(text);
            }
            self.call("Input.dispatchKeyEvent", params);
        }
    }

    /// Clicks on the middle of the first element of a CSS selector.
    pub fn click(&self, selector: &str) {
        let quoted = json!(selector);
        let middle = self.value(&format!(
            "(() => {{ const e = document.querySelector({quoted}); e.scrollIntoView({{block: 'center'}}); \
             const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; }})()"
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let params = json!({"type": kind, "x": middle[0], "y": middle[1], "button": "left", "clickCount": 1});
            self.call("Input.dispatchMouseEvent", params);
        }
    }

    /// Everything that the page or the browser complained of, and every address that was asked for besides files.
    pub fn complaints(&self) -> Vec<String> {
        // Whatever is still on its way comes before this answer.
        self.value("0");
        let events = self.events.borrow();
        let complaint = |event: &Value| match event["method"].as_str()? {
            "Runtime.exceptionThrown" => Some(event["params"]["exceptionDetails"].to_string()),
            "Log.entryAdded" => Some(event["params"]["entry"].to_string()),
            "Runtime.consoleAPICalled" => Some(event["params"]["args"].to_string()),
            "Network.requestWillBeSent" => {
                let url = event["params"]["request"]["url"].as_str()?;
                let own = ["file:", "data:", "about:"].iter().any(|scheme| url.starts_with(scheme));
                (!own).then(|| url.to_owned())
            }
            _ => None,
        };
        events.iter().filter_map(complaint).collect()
    }

    /// Keeps a picture of the page in the folder that `KPTRSIM_SCREENSHOTS` names, if it does.
    pub fn picture(&self, name: &str) {
        let Ok(folder) = std::env::var("KPTRSIM_SCREENSHOTS") else { return };
        let result = self.call("Page.captureScreenshot", json!({"format": "png", "captureBeyondViewport": true}));
        let data = result["data"].as_str().expect("a picture");
        std::fs::write(Path::new(&folder).join(format!("{name}.png.base64")), data).expect("a file");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
