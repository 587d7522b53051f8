//! Secrets are replaced before anything is written.

use memchr::memmem;

/// Stands in place of a secret.
pub const HIDDEN: &str = "***";

/// Names under which they stand in logs.
const SECRET_NAMES: [&str; 3] = ["api_key", "hf_token", "ssl_keyfile_password"];

/// Flags of vLLM whose values are secrets.
const SECRET_FLAGS: [&str; 4] =
    ["--api-key", "--hf-token", "--admin-api-key", "--ssl-keyfile-password"];

/// The URL with `***` in place of a user name and password, and without its query, which may hold
/// a key too.
pub fn url_without_credentials(url: &str) -> String {
    let start = url.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = url.split_at(start);
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    let end = rest.find('/').unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}{HIDDEN}{}", &rest[at..]),
        None => format!("{scheme}{rest}"),
    }
}

/// A command line with `***` in place of keys and tokens. `--api-key` takes any number of values.
pub fn args_without_secrets(args: &[String]) -> Vec<String> {
    let mut hiding = false;
    args.iter()
        .map(|arg| {
            if !arg.starts_with("--") {
                return if hiding { HIDDEN.to_owned() } else { arg.clone() };
            }
            let (flag, value) = arg.split_once('=').unwrap_or((arg, ""));
            hiding = SECRET_FLAGS.contains(&flag.replace('_', "-").as_str());
            if hiding && !value.is_empty() { format!("{flag}={HIDDEN}") } else { arg.clone() }
        })
        .collect()
}

/// A server log with `***` in place of keys and tokens: vLLM prints its flags when it starts.
pub(super) fn log_without_secrets(log: &[u8]) -> Vec<u8> {
    let names = SECRET_NAMES.map(memmem::Finder::new);
    let mut shown = Vec::with_capacity(log.len());
    for line in log.split_inclusive(|&byte| byte == b'\n') {
        let mut rest = line;
        while let Some(end) =
            names.iter().filter_map(|it| Some(it.find(rest)? + it.needle().len())).min()
        {
            let (gap, value) = value_after(&rest[end..]);
            shown.extend_from_slice(&rest[..end + gap]);
            let secret = &rest[end + gap..end + gap + value];
            shown.extend_from_slice(if is_set(secret) { HIDDEN.as_bytes() } else { secret });
            rest = &rest[end + gap + value..];
        }
        shown.extend_from_slice(rest);
    }
    shown
}

/// Where the value of a name begins after it, and how long it is: `=v`, `': 'v'`, `=['v', 'w']`.
fn value_after(text: &[u8]) -> (usize, usize) {
    let gap = text.iter().take_while(|byte| b"'\": =".contains(byte)).count();
    let assigned = text[..gap].iter().any(|byte| b":=".contains(byte));
    let list = text.get(gap) == Some(&b'[');
    let gap = gap + usize::from(list);
    let ends: &[u8] = if list { b"]\r\n" } else { b"'\",]})\r\n " };
    let value = text[gap..].iter().take_while(|byte| !ends.contains(byte)).count();
    (gap, if assigned { value } else { 0 })
}

fn is_set(value: &[u8]) -> bool {
    !matches!(value, b"" | b"None" | b"null")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_of_a_url_are_hidden_and_nothing_else() {
        assert_eq!(url_without_credentials("http://u:p@w@h:1/x@y"), "http://***@h:1/x@y");
        assert_eq!(url_without_credentials("u:p@h:1"), "***@h:1");
        assert_eq!(url_without_credentials("http://h/a@b"), "http://h/a@b");
        assert_eq!(url_without_credentials("http://h:1/x?api_key=k#k"), "http://h:1/x");
    }

    #[test]
    fn keys_on_a_command_line_are_hidden() {
        let line = "serve m --api-key k1 k2 --port 1 --hf_token=t".split(' ').map(Into::into);
        let shown = args_without_secrets(&line.collect::<Vec<String>>()).join(" ");
        assert_eq!(shown, "serve m --api-key *** *** --port 1 --hf_token=***");
    }

    #[test]
    fn keys_in_a_log_are_hidden_and_nothing_else() {
        let shown = |line: &str| String::from_utf8(log_without_secrets(line.as_bytes())).unwrap();
        assert_eq!(
            shown("args: {'api_key': ['k1', 'k2'], 'port': 1}\nx"),
            "args: {'api_key': [***], 'port': 1}\nx"
        );
        assert_eq!(shown("N(api_key='k', hf_token=t, a=1)"), "N(api_key='***', hf_token=***, a=1)");
        for line in ["N(api_key=None)", "api_key is missing", "api_key='***'", "api_key", "\n\n"] {
            assert_eq!(shown(line), line);
        }
    }
}
