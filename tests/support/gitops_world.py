"""kledd with an embedded API and a Git repository: GitOps alone, for crash loops and figures."""
from support.world import World


class GitopsWorld(World):
    """Its repository says with clusters/ what is applied."""

    def kledd_command(self):
        return [self.bin / "kledd", "--roles", "api,gitops", "--state", self.state, "--api", "embedded",
                "--api-port", self.api_port, "--gitops-repo", self.repository.url, "--gitops-path", "clusters",
                "--gitops-allow-local-repositories", *self.kledd_flags]

    def start(self):
        self.start_kledd()
