"""Policy file + bound statements + observations -> decision."""
