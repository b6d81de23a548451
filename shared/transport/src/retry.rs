//! When to ask once more, and how long to wait before.

use std::time::{Duration, Instant, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// How long a registry may take. The defaults suit a person who waits; tests have no time.
#[derive(Clone, Debug)]
pub struct Patience {
    /// For a connection, name resolution and TLS included.
    pub connect: Duration,
    /// For an answer to begin, and between two pieces of it.
    pub silence: Duration,
    /// Over a time of waiting as long as this …
    pub window: Duration,
    /// … so many bytes are the least.
    pub slowest: u64,
    /// Before the second attempt; each time after that, twice as long.
    pub pause: Duration,
    /// For all attempts at one request together.
    pub total: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(30),
            window: Duration::from_secs(60),
            slowest: 60 * 1024,
            pause: Duration::from_millis(500),
            total: Duration::from_secs(60),
        }
    }
}

/// The attempts at one request.
pub struct Attempts<'a> {
    patience: &'a Patience,
    began: Instant,
    /// Those that failed.
    count: u32,
}

impl<'a> Attempts<'a> {
    pub fn new(patience: &'a Patience) -> Attempts<'a> {
        Attempts { patience, began: Instant::now(), count: 0 }
    }

    /// How long to wait before the next attempt; None if there is to be none.
    ///
    /// `most` attempts can be made; and never is it sooner than after the time `asked`.
    pub fn pause(&mut self, most: u32, asked: Option<Duration>) -> Option<Duration> {
        self.count += 1;
        let pause = self.patience.pause * 2u32.pow(self.count.min(10) - 1);
        let pause = pause.max(asked.unwrap_or_default());
        let end = self.began.elapsed().saturating_add(pause);
        (self.count < most && end <= self.patience.total).then_some(pause)
    }
}

/// Whether the same request may well have another answer soon.
pub fn may_pass(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 500 | 502 | 503 | 504)
}

/// Whether the server has no time, whatever the request.
pub fn is_busy(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 503)
}

/// How long the server asks to wait: seconds or a date (RFC 9110, 10.2.3).
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // Too large a number is a wait without end.
        return Some(value.parse().map_or(Duration::MAX, Duration::from_secs));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    // A date that is past: no need to wait.
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let seconds = |value: &'static str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
            retry_after(&headers, now).map(|time| time.as_secs())
        };
        assert_eq!(seconds("0"), Some(0));
        assert_eq!(seconds(" 120 "), Some(120));
        assert_eq!(seconds("99999999999999999999999"), Some(u64::MAX));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:50:07 GMT"), Some(30));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        for wrong in ["", "-1", "+1", "1.5", "soon", "Sun, 99 Nov 1994 08:00:00 GMT"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn pauses_double_and_end() {
        let patience = Patience::default();
        let mut attempts = Attempts::new(&patience);
        let pauses: Vec<_> = (0..4).map(|_| attempts.pause(4, None)).collect();
        let millis = |count| Some(Duration::from_millis(count));
        assert_eq!(pauses, [millis(500), millis(1000), millis(2000), None]);
    }

    #[test]
    fn what_the_server_asks_is_kept_or_too_long() {
        let patience = Patience::default();
        let after =
            |seconds| Attempts::new(&patience).pause(10, Some(Duration::from_secs(seconds)));
        assert_eq!(after(0), Some(patience.pause));
        assert_eq!(after(7), Some(Duration::from_secs(7)));
        assert_eq!(after(61), None);
        assert_eq!(after(u64::MAX), None);
    }
}
