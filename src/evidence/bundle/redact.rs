//! Secrets are replaced before anything is written.

const HIDDEN: &str = "***";

/// Flags of vLLM whose values are secrets.
const SECRET_FLAGS: [&str; 4] =
    ["--api-key", "--hf-token", "--admin-api-key", "--ssl-keyfile-password"];

/// The URL with `***` in place of a user name and password.
pub fn url_without_credentials(url: &str) -> String {
    let start = url.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = url.split_at(start);
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}{HIDDEN}{}", &rest[at..]),
        None => url.to_owned(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_of_a_url_are_hidden_and_nothing_else() {
        assert_eq!(url_without_credentials("http://u:p@w@h:1/x@y"), "http://***@h:1/x@y");
        assert_eq!(url_without_credentials("u:p@h:1"), "***@h:1");
        assert_eq!(url_without_credentials("http://h/a@b"), "http://h/a@b");
    }

    #[test]
    fn keys_on_a_command_line_are_hidden() {
        let line = "serve m --api-key k1 k2 --port 1 --hf_token=t".split(' ').map(Into::into);
        let shown = args_without_secrets(&line.collect::<Vec<String>>()).join(" ");
        assert_eq!(shown, "serve m --api-key *** *** --port 1 --hf_token=***");
    }
}
