//! What a reader does with the browser's tab: opens a page, looks at it, presses keys.

use std::collections::HashMap;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::chromium::Chromium;

pub struct Tab {
    chromium: Chromium,
    /// Where the book is. What a page asks for from elsewhere is a fault.
    base: String,
    /// Where it was before: on a busy machine the last page there still loads its icon.
    earlier_base: Option<String>,
    /// Of the page that is open: what went wrong in it, by itself.
    faults: Vec<String>,
    /// The addresses of its requests.
    requests: HashMap<String, String>,
}

impl Tab {
    pub fn new(base: String) -> Result<Tab> {
        let chromium = Chromium::start()?;
        Ok(Tab { chromium, base, earlier_base: None, faults: Vec::new(), requests: HashMap::new() })
    }

    /// From now on the book is there.
    pub fn set_base(&mut self, base: String) {
        self.earlier_base = Some(std::mem::replace(&mut self.base, base));
    }

    /// The next pages are this wide, as on a desk (1280) or in a hand (390).
    pub fn set_width(&mut self, width: u32) -> Result<()> {
        let size =
            json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600});
        self.chromium.call("Emulation.setDeviceMetricsOverride", size)?;
        Ok(())
    }

    /// The next pages find this theme, chosen by the reader earlier.
    pub fn set_theme(&mut self, theme: &str) -> Result<()> {
        let script =
            format!("localStorage.setItem('mdbook-theme', '{theme}'); window.print = () => {{}};");
        self.chromium
            .call("Page.removeScriptToEvaluateOnNewDocument", json!({"identifier": "1"}))
            .ok();
        self.chromium.call("Page.addScriptToEvaluateOnNewDocument", json!({"source": script}))?;
        Ok(())
    }

    /// The page is shown as on paper, or on the screen again.
    pub fn set_printed(&mut self, printed: bool) -> Result<()> {
        let media = if printed { "print" } else { "" };
        self.chromium.call("Emulation.setEmulatedMedia", json!({"media": media}))?;
        Ok(())
    }

    pub fn open(&mut self, page: &str) -> Result<()> {
        self.take_faults();
        let answer =
            self.chromium.call("Page.navigate", json!({"url": format!("{}/{page}", self.base)}))?;
        if let Some(error) = answer["errorText"].as_str() {
            bail!("it does not open: {error}");
        }
        loop {
            let event = self.chromium.event().context("the page is still loading")?;
            // Not the end of another page's loading.
            let about = &event["params"];
            if about["name"] == "load" && about["loaderId"] == answer["loaderId"] {
                return Ok(());
            }
            self.note(&event);
        }
    }

    /// The value of a JavaScript expression; a promise's, once it has one.
    pub fn value(&mut self, expression: &str) -> Result<Value> {
        let parameters =
            json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let mut answer = self.chromium.call("Runtime.evaluate", parameters)?;
        if !answer["exceptionDetails"].is_null() {
            bail!("{expression:.60}: {}", description(&answer["exceptionDetails"]));
        }
        Ok(answer["result"]["value"].take())
    }

    /// The lines that a JavaScript expression gives.
    pub fn lines(&mut self, expression: &str) -> Result<Vec<String>> {
        Ok(serde_json::from_value(self.value(expression)?)?)
    }

    /// Waits until a JavaScript expression is true; whether it came to be. Another page may come meanwhile.
    pub fn becomes(&mut self, expression: &str) -> Result<bool> {
        for _ in 0..200 {
            match self.value(&format!("Boolean({expression})")) {
                Ok(Value::Bool(true)) => return Ok(true),
                _ => thread::sleep(Duration::from_millis(50)),
            }
        }
        Ok(false)
    }

    /// Presses a key and lets it go: `Tab`, `Enter`, or a character.
    pub fn press(&mut self, key: &str) -> Result<()> {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            "Escape" => (27, ""),
            "Home" => (36, ""),
            "ArrowRight" => (39, ""),
            character => (character.to_uppercase().bytes().next().unwrap_or_default(), character),
        };
        let event = |kind| json!({"type": kind, "key": key, "code": key, "text": text, "windowsVirtualKeyCode": code});
        self.chromium.send("Input.dispatchKeyEvent", event("keyDown"))?;
        self.chromium.call("Input.dispatchKeyEvent", event("keyUp"))?;
        Ok(())
    }

    /// Presses Tab until an element has the focus.
    pub fn tab_to(&mut self, selector: &str) -> Result<()> {
        for _ in 0..1000 {
            self.press("Tab")?;
            if self.value(&format!("document.activeElement.matches('{selector}')"))? == true {
                return Ok(());
            }
        }
        bail!("the Tab key does not lead to {selector}")
    }

    /// What went wrong in the page since it was opened: errors of its scripts, requests that failed, or went elsewhere.
    pub fn take_faults(&mut self) -> Vec<String> {
        for event in self.chromium.events() {
            self.note(&event);
        }
        self.requests.clear();
        std::mem::take(&mut self.faults)
    }

    fn note(&mut self, event: &Value) {
        let about = &event["params"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        let url = |id: &Value| {
            self.requests.get(id.as_str().unwrap_or_default()).cloned().unwrap_or_default()
        };
        let fault = match event["method"].as_str().unwrap_or_default() {
            "Network.requestWillBeSent" => {
                let url = text(&about["request"]["url"]);
                let is_in = |place: &str| url.starts_with(place);
                let is_ours = is_in(&self.base)
                    || is_in("data:")
                    || self.earlier_base.as_deref().is_some_and(is_in);
                let fault = (!is_ours).then(|| format!("asks for {url}, which is not in the book"));
                self.requests.insert(text(&about["requestId"]), url);
                fault
            }
            // A browser looks for an icon where a page names none.
            "Network.responseReceived"
                if about["response"]["url"]
                    .as_str()
                    .is_some_and(|url| url.ends_with("/favicon.ico")) =>
            {
                None
            }
            "Network.responseReceived" if about["response"]["status"].as_u64() >= Some(400) => {
                Some(format!("{}: {}", url(&about["requestId"]), about["response"]["status"]))
            }
            "Network.loadingFailed" if about["canceled"] != true => {
                Some(format!("{}: {}", url(&about["requestId"]), text(&about["errorText"])))
            }
            "Runtime.exceptionThrown" => Some(description(&about["exceptionDetails"])),
            "Runtime.consoleAPICalled"
                if about["type"] == "error" || about["type"] == "warning" =>
            {
                Some(format!("on the console: {}", about["args"][0]["value"]))
            }
            // Those of the network are known already.
            "Log.entryAdded"
                if about["entry"]["level"] == "error" && about["entry"]["source"] != "network" =>
            {
                Some(format!("on the console: {}", text(&about["entry"]["text"])))
            }
            _ => None,
        };
        self.faults.extend(fault);
    }
}

/// The first line of what an error says of itself, and where it is.
fn description(details: &Value) -> String {
    let text = details["exception"]["description"].as_str().or(details["text"].as_str());
    let line = text.unwrap_or_default().lines().next().unwrap_or_default();
    let (url, number) = (details["url"].as_str().unwrap_or_default(), &details["lineNumber"]);
    format!("error in a script, {url}:{number}: {line}")
}
