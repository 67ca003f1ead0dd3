"""Where the pages of the rules live."""

RULE_PAGES = "https://modelsign.dev/rules"
