//! What kind of file a path names, by one table, and what a look at its first bytes adds.
//!
//! The table is a heuristic: it knows the habits of common languages and tools, not this repository. The first row that
//! fits wins. Patterns are compared without regard to case; `*` stands for any text within a file's name.

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Code of others that is kept here; neither counted as a file nor in lines.
    Vendored,
    /// What a package manager resolved; counted as a file (it is configuration), not in lines.
    Lock,
    /// Made by a program; counted as a file, not in lines.
    Generated,
    /// Changes stored data or its schema.
    Migration,
    /// Checks the rest.
    Test,
    /// Changes what is run without changing code: manifests, charts, build and deployment files, dependencies.
    Configuration,
    /// For readers.
    Documentation,
    /// Everything else.
    Code,
}

/// How a row's patterns are compared.
enum By {
    /// With the name of any folder on the way.
    Folder,
    /// The same, but files in a programming language are not meant: a folder `config` may hold the code that reads it.
    FolderButCode,
    /// With the name of the file.
    Name,
}

/// Endings of files in programming languages.
const CODE: [&str; 31] = [
    "c", "cc", "cpp", "cs", "dart", "erl", "ex", "exs", "fs", "go", "groovy", "h", "hpp", "hs", "java", "js", "jsx", "kt", "lua",
    "m", "ml", "php", "py", "rb", "rs", "scala", "swift", "ts", "tsx", "vue", "zig",
];

/// The table.
const TABLE: [(Kind, By, &[&str]); 13] = [
    (Kind::Vendored, By::Folder, &["vendor", "node_modules", "third_party", "third-party", "bower_components"]),
    (
        Kind::Lock,
        By::Name,
        &[
            "*.lock",
            "package-lock.json",
            "npm-shrinkwrap.json",
            "pnpm-lock.yaml",
            "bun.lockb",
            "go.sum",
            "packages.lock.json",
            "gradle.lockfile",
            "package.resolved",
            ".terraform.lock.hcl",
            "*.lockfile",
        ],
    ),
    (Kind::Generated, By::Folder, &["__snapshots__", ".agent-trace", "__generated__"]),
    (
        Kind::Generated,
        By::Name,
        &[
            "*.snap",
            "*.pb.go",
            "*_pb2.py",
            "*_pb2_grpc.py",
            "*.pb.cc",
            "*.pb.h",
            "*_generated.*",
            "*.generated.*",
            "zz_generated*",
            "*.g.dart",
            "*.g.cs",
            "*.designer.cs",
            "*.min.js",
            "*.min.css",
            "*.map",
        ],
    ),
    (
        Kind::Migration,
        By::Folder,
        &["migrations", "migration", "migrate", "db-migrations", "changelogs", "alembic", "flyway", "liquibase"],
    ),
    (
        Kind::Migration,
        By::Name,
        &["*.up.sql", "*.down.sql", "v*__*.sql", "schema.sql", "structure.sql", "schema.rb", "schema.prisma"],
    ),
    (
        Kind::Test,
        By::Folder,
        &["test", "tests", "testing", "__tests__", "spec", "specs", "e2e", "testdata", "test-data", "fixtures", "androidtest"],
    ),
    (
        Kind::Test,
        By::Name,
        &[
            "*_test.*",
            "*_tests.*",
            "test_*",
            "tests.rs",
            "*.test.*",
            "*.spec.*",
            "*_spec.rb",
            "*test.java",
            "*tests.java",
            "*test.kt",
            "*tests.cs",
            "conftest.py",
        ],
    ),
    (
        Kind::Documentation,
        By::Name,
        &["*.md", "*.rst", "*.adoc", "*.txt", "license*", "copying", "notice", "authors", "codeowners"],
    ),
    (
        Kind::Configuration,
        By::FolderButCode,
        &[
            "charts",
            "chart",
            "helm",
            "kustomize",
            "manifests",
            "k8s",
            "kubernetes",
            "deploy",
            "terraform",
            "ansible",
            ".github",
            ".circleci",
            ".buildkite",
            "config",
            "configs",
            "conf",
        ],
    ),
    (
        Kind::Configuration,
        By::Name,
        &[
            "dockerfile*",
            "*.dockerfile",
            "containerfile",
            "docker-compose*",
            "compose.y*ml",
            "makefile",
            "jenkinsfile",
            "*.tf",
            "*.tfvars",
            ".env*",
            "*.ini",
            "*.conf",
            "*.cfg",
            "*.properties",
            "*.toml",
            "*.yaml",
            "*.yml",
        ],
    ),
    (
        Kind::Configuration,
        By::Name,
        &[
            "go.mod",
            "package.json",
            "pom.xml",
            "build.gradle*",
            "settings.gradle*",
            "requirements*.in",
            "gemfile",
            "composer.json",
            "*.csproj",
        ],
    ),
    (Kind::Documentation, By::Folder, &["docs", "doc"]),
];

/// Bytes of a file that are looked at for what its path does not say; the marks stand at the beginning.
pub(crate) const LOOKED_AT: usize = 2048;

impl Kind {
    /// The kind of a file, by its path from the repository's root.
    #[must_use]
    pub fn of(path: &str) -> Self {
        let path = path.to_ascii_lowercase();
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", &path));
        // Not by its ending: requirements.txt is no text for readers.
        if name.starts_with("requirements") && name.ends_with(".txt") {
            return Self::Configuration;
        }
        let is_code = name.rsplit_once('.').is_some_and(|(_, ending)| CODE.contains(&ending));
        let in_folder = |pattern: &str| folders.split('/').any(|folder| folder == pattern);
        let fits = |by: &By, pattern: &str| match by {
            By::Folder => in_folder(pattern),
            By::FolderButCode => !is_code && in_folder(pattern),
            By::Name => is_like(name, pattern),
        };
        TABLE
            .iter()
            .find(|(_, by, patterns)| patterns.iter().any(|pattern| fits(by, pattern)))
            .map_or(Self::Code, |(kind, ..)| *kind)
    }

    /// The kind after a look at the file's first bytes: generated where it says so, a migration where SQL changes a schema.
    #[must_use]
    pub fn after_look(self, path: &str, content: &[u8]) -> Self {
        let look = content.get(..LOOKED_AT).unwrap_or(content);
        let look = String::from_utf8_lossy(look).to_ascii_lowercase();
        let says = |words: &str| look.contains(words);
        // Put together here, so that this file does not say it of itself.
        let generated = says(concat!("@", "generated")) || (says("code generated") && says(concat!("do not", " edit")));
        let sql = path.to_ascii_lowercase().ends_with(".sql")
            && ["alter table", "create table", "drop table", "create index", "drop index"].into_iter().any(says);
        match self {
            Self::Code | Self::Configuration | Self::Test if generated => Self::Generated,
            Self::Code if sql => Self::Migration,
            kind => kind,
        }
    }

    /// Whether its lines count in the size of a change.
    #[must_use]
    pub fn counts_in_lines(self) -> bool {
        !matches!(self, Self::Vendored | Self::Lock | Self::Generated)
    }

    /// Whether it counts as a touched file.
    #[must_use]
    pub fn counts_as_file(self) -> bool {
        self != Self::Vendored
    }
}

/// Whether a name is like a pattern; `*` stands for any text.
fn is_like(name: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else {
            return false;
        };
        rest = after;
    }
    rest.ends_with(last)
}

/// The folder of a file; the root is empty.
#[must_use]
pub fn directory(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The subsystem of a file: the first folder of its path, as Kamei et al. take it; the root is empty.
#[must_use]
pub fn subsystem(path: &str) -> &str {
    path.split_once('/').map_or("", |(folder, _)| folder)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("src/main.rs", Kind::Code)]
    #[case("src/latest.rs", Kind::Code)]
    #[case("src/contest/mod.rs", Kind::Code)]
    #[case("cmd/server/main.go", Kind::Code)]
    #[case("vendor/github.com/pkg/errors/errors.go", Kind::Vendored)]
    #[case("web/node_modules/left-pad/index.js", Kind::Vendored)]
    #[case("Cargo.lock", Kind::Lock)]
    #[case("web/package-lock.json", Kind::Lock)]
    #[case("go.sum", Kind::Lock)]
    #[case("api/v1/service.pb.go", Kind::Generated)]
    #[case("src/snapshots/help.snap", Kind::Generated)]
    #[case("db/migrations/0007_add_index.py", Kind::Migration)]
    #[case("sql/V12__orders.sql", Kind::Migration)]
    #[case("db/schema.rb", Kind::Migration)]
    #[case("tests/checkout.rs", Kind::Test)]
    #[case("pkg/cart/cart_test.go", Kind::Test)]
    #[case("src/Cart.test.tsx", Kind::Test)]
    #[case("python/test_cart.py", Kind::Test)]
    #[case("src/test/java/CartTest.java", Kind::Test)]
    #[case("charts/shop/templates/deployment.yaml", Kind::Configuration)]
    #[case("charts/shop/README.md", Kind::Documentation)]
    #[case("Dockerfile", Kind::Configuration)]
    #[case("Cargo.toml", Kind::Configuration)]
    #[case("requirements.txt", Kind::Configuration)]
    #[case(".github/workflows/ci.yml", Kind::Configuration)]
    #[case("src/config/mod.rs", Kind::Code)]
    #[case("config/app.yaml", Kind::Configuration)]
    #[case("config/nginx", Kind::Configuration)]
    #[case("src/metrics/pods/fetch.rs", Kind::Code)]
    #[case("README.md", Kind::Documentation)]
    #[case("docs/diagram.svg", Kind::Documentation)]
    fn given_a_path_when_sorted_then_its_kind(#[case] path: &str, #[case] kind: Kind) {
        assert_eq!(Kind::of(path), kind, "{path}");
    }

    #[rstest]
    #[case("a.go", "// Code generated by protoc-gen-go. DO NOT EDIT.\npackage a\n", Kind::Generated)]
    #[case("a.go", "// The code generated by users\npackage a\n", Kind::Code)]
    #[case("a.js", "/** @generated SignedSource */\n", Kind::Generated)]
    #[case("orders.sql", "-- more room\nALTER TABLE orders ADD COLUMN note text;\n", Kind::Migration)]
    #[case("orders.sql", "SELECT 1;\n", Kind::Code)]
    #[case("orders.rs", "// alter table\n", Kind::Code)]
    fn given_a_files_beginning_when_looked_at_then_its_kind(#[case] path: &str, #[case] content: &str, #[case] kind: Kind) {
        assert_eq!(Kind::of(path).after_look(path, content.as_bytes()), kind, "{path}");
    }

    #[test]
    fn given_a_path_when_divided_then_its_directory_and_its_subsystem() {
        assert_eq!((directory("src/cart/add.rs"), subsystem("src/cart/add.rs")), ("src/cart", "src"));
        assert_eq!((directory("README.md"), subsystem("README.md")), ("", ""));
    }
}
