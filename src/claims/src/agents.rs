//! The coding agents that are known by name or address, in one table, and who is a machine at all.

/// A person or a program as a commit names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Person {
    /// The name; may be empty.
    pub name: String,
    /// The address without its brackets; may be empty.
    pub email: String,
}

impl Person {
    /// Reads `Name <address>`; either may be missing.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let (name, email) = match text.split_once('<') {
            Some((name, rest)) => (name, rest.split_once('>').map_or(rest, |(email, _)| email)),
            None => (text, ""),
        };
        Self { name: name.trim().trim_matches('"').to_owned(), email: email.trim().to_owned() }
    }

    /// The same for the same developer: the address without regard to case, else the name.
    #[must_use]
    pub fn identity(&self) -> String {
        if self.email.is_empty() { &self.name } else { &self.email }.to_lowercase()
    }

    /// Whether both may be the same developer: an address or a name that both have, without regard to case.
    #[must_use]
    pub fn may_be(&self, other: &Self) -> bool {
        let texts = |person: &Self| [person.name.to_lowercase(), person.email.to_lowercase()];
        let others = texts(other);
        texts(self).iter().any(|text| !text.is_empty() && others.contains(text))
    }

    /// The agent that this is, where it is a known one.
    #[must_use]
    pub fn agent(&self) -> Option<&'static str> {
        let (name, email) = (self.name.to_lowercase(), self.email.to_lowercase());
        let own = |agent: &Agent| agent.addresses.iter().any(|part| email.contains(part));
        let named = |agent: &Agent| agent.accounts.iter().any(|account| begins_as(&name, account) || email.contains(account));
        AGENTS.iter().find(|agent| own(agent) || named(agent)).map(|agent| agent.name)
    }

    /// Whether this is a program: an agent, or an account that says it is one.
    #[must_use]
    pub fn is_machine(&self) -> bool {
        let says = |text: &str| text.contains("[bot]") || text.ends_with("-bot") || text.ends_with(" bot");
        self.agent().is_some() || says(&self.name.to_lowercase()) || says(&self.email.to_lowercase())
    }
}

impl std::fmt::Display for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.name.is_empty(), self.email.is_empty()) {
            (false, false) => write!(f, "{} <{}>", self.name, self.email),
            (true, _) => f.write_str(&self.email),
            (_, true) => f.write_str(&self.name),
        }
    }
}

/// One known agent. All but its name in lower case.
struct Agent {
    /// As it is reported.
    name: &'static str,
    /// What only its own addresses contain.
    addresses: &'static [&'static str],
    /// Names that no human has; a co-author's name that begins so is the agent.
    accounts: &'static [&'static str],
    /// What it is also called where a machine is expected; humans may have that name too.
    words: &'static [&'static str],
}

const AGENTS: [Agent; 25] = [
    Agent {
        name: "Claude",
        addresses: &["@anthropic.com"],
        accounts: &[
            "claude code",
            "claude-code",
            "claude opus",
            "claude sonnet",
            "claude haiku",
            "claude[bot]",
            "claude-opus",
            "claude-sonnet",
            "claude-haiku",
        ],
        words: &["claude", "anthropic"],
    },
    Agent {
        name: "GitHub Copilot",
        addresses: &["copilot@github.com", "+copilot@users.noreply.github.com"],
        accounts: &["github copilot", "github-copilot", "copilot-swe-agent", "copilot"],
        words: &[],
    },
    Agent {
        name: "Cursor",
        addresses: &["@cursor.com", "@cursor.sh"],
        accounts: &["cursoragent", "cursor agent", "cursor-agent"],
        words: &["cursor"],
    },
    Agent {
        name: "Devin",
        addresses: &["@devin.ai", "@cognition.ai"],
        accounts: &["devin-ai-integration", "devin ai"],
        words: &["devin", "cognition"],
    },
    Agent {
        name: "OpenAI Codex",
        addresses: &["codex@openai.com"],
        accounts: &["openai codex", "chatgpt-codex-connector", "codex cli", "codex"],
        words: &[],
    },
    Agent { name: "ChatGPT", addresses: &["noreply@openai.com"], accounts: &["chatgpt"], words: &["openai", "gpt"] },
    Agent { name: "Jules", addresses: &[], accounts: &["google-labs-jules", "google jules"], words: &["jules"] },
    Agent {
        name: "Gemini",
        addresses: &["gemini-code-assist"],
        accounts: &["gemini-code-assist", "gemini code assist", "gemini-cli", "gemini cli", "google gemini"],
        words: &["gemini"],
    },
    Agent { name: "Aider", addresses: &["@aider.chat"], accounts: &["aider (", "aider-ai"], words: &["aider"] },
    Agent { name: "Amp", addresses: &["@ampcode.com"], accounts: &["sourcegraph amp", "ampcode"], words: &["amp"] },
    Agent { name: "Windsurf", addresses: &["@windsurf.com", "@codeium.com"], accounts: &["windsurf", "codeium"], words: &[] },
    Agent { name: "OpenCode", addresses: &["@opencode.ai"], accounts: &["opencode"], words: &[] },
    Agent { name: "OpenHands", addresses: &["openhands@all-hands.dev"], accounts: &["openhands", "openhands-agent"], words: &[] },
    Agent {
        name: "Junie",
        addresses: &["junie@jetbrains.com"],
        accounts: &["jetbrains junie", "jetbrains-junie"],
        words: &["junie"],
    },
    Agent { name: "Amazon Q", addresses: &[], accounts: &["amazon q", "amazon-q-developer"], words: &[] },
    Agent { name: "Kiro", addresses: &["@kiro.dev"], accounts: &["kiro agent", "kiro-agent"], words: &["kiro"] },
    Agent { name: "Cline", addresses: &["@cline.bot"], accounts: &["cline-bot"], words: &["cline"] },
    Agent { name: "Roo Code", addresses: &["@roocode.com"], accounts: &["roo code", "roomote"], words: &["roo"] },
    Agent { name: "Sweep", addresses: &[], accounts: &["sweep-ai", "sweep ai"], words: &["sweep"] },
    Agent {
        name: "Replit Agent",
        addresses: &["agent@replit.com"],
        accounts: &["replit agent", "replit-agent"],
        words: &["replit"],
    },
    Agent {
        name: "Factory Droid",
        addresses: &["droid@factory.ai", "factory-droid"],
        accounts: &["factory-droid", "factory droid"],
        words: &["droid"],
    },
    Agent { name: "Augment", addresses: &["@augmentcode.com"], accounts: &["augment code", "augment-code"], words: &["augment"] },
    Agent {
        name: "Qwen Code",
        addresses: &["qwen-coder@alibabacloud.com"],
        accounts: &["qwen-coder", "qwen code", "qwen-code"],
        words: &["qwen"],
    },
    Agent { name: "goose", addresses: &["@block-goose"], accounts: &["codename goose"], words: &["goose"] },
    Agent { name: "Lovable", addresses: &["@lovable.dev"], accounts: &["lovable-dev", "gpt-engineer-app"], words: &["lovable"] },
];

/// The agent that a word means where a machine is expected: `claude:opus-4`, `devin`, `openai/gpt-5`.
#[must_use]
pub(crate) fn meant(text: &str) -> Option<&'static str> {
    let text = text.trim().to_lowercase();
    let called = |agent: &&Agent| agent.accounts.iter().chain(agent.words).any(|word| begins_as(&text, word));
    AGENTS.iter().find(called).map(|agent| agent.name)
}

/// The agent that a sentence names anywhere, by a name that no human has.
#[must_use]
pub(crate) fn named_in(text: &str) -> Option<&'static str> {
    let text = text.to_lowercase();
    let called = |agent: &&Agent| agent.accounts.iter().any(|account| text.contains(account));
    AGENTS.iter().find(called).map(|agent| agent.name)
}

/// Whether a text is the word, or goes on with something that does not belong to it.
fn begins_as(text: &str, word: &str) -> bool {
    text.strip_prefix(word).is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphabetic()))
}
