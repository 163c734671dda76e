"""Who asked for what and how it ended. Each request is opened once and ends once, as one of OUTCOMES."""

import collections

# ok: the right answer. refused: no room. expired: the deadline passed. cancelled: by the client, who was
# told so. gone: the model was being unloaded. cut: the client hung up and cannot know.
OUTCOMES = ("ok", "refused", "expired", "cancelled", "gone", "cut")
WRONG_MAX = 20


class Ledger:
    def __init__(self, name):
        self.name, self.numbers, self.open_ones = name, 0, {}
        self.sent, self.ends, self.wrong = collections.Counter(), collections.Counter(), []

    def open(self, model):
        self.numbers += 1
        self.sent[model] += 1
        self.open_ones[self.numbers] = model
        return self.numbers

    def end(self, ticket, outcome):
        model = self.open_ones.pop(ticket, None)
        if model is None:
            return self.note(f"request {ticket} ended again: {outcome}")
        if outcome not in OUTCOMES:
            return self.note(f"{model}: {outcome}")
        self.ends[model, outcome] += 1

    def note(self, what):
        """What no client may see."""
        self.wrong.append(f"{self.name}: {what}")
        del self.wrong[WRONG_MAX:]

    def close(self):
        """What is handed to the process that adds up."""
        for ticket, model in self.open_ones.items():
            self.note(f"request {ticket} for {model} never ended")
        return {"name": self.name, "sent": self.sent, "ends": self.ends, "wrong": self.wrong}


class Sum:
    def __init__(self):
        self.sent, self.ends, self.by_client = collections.Counter(), collections.Counter(), collections.Counter()
        self.wrong = []

    def add(self, part):
        self.sent.update(part["sent"])
        self.ends.update(part["ends"])
        self.wrong += part["wrong"]
        for (_, outcome), n in part["ends"].items():
            self.by_client[part["name"], outcome] += n
        if sum(part["sent"].values()) != sum(part["ends"].values()) and not part["wrong"]:
            self.wrong.append(f"{part['name']}: {sum(part['sent'].values())} sent, {sum(part['ends'].values())} ended")

    def clients(self):
        return sorted({name for name, _ in self.by_client})

    def unclear(self, model):
        """Requests of which the server may have another opinion than the client: it hung up or gave up."""
        return sum(self.ends[model, outcome] for outcome in ("expired", "cancelled", "cut"))
