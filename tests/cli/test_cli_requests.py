"""`generate`, `score`, `tokenize` and `render`: JSON lines in, JSON lines out, bad lines included."""
import json
import math
import unittest

from program import MODELS, ProgramTest

MODEL = MODELS / "mini-ja"
PROMPT = "問題:3+4は?\n答え:"


def lines(*requests):
    return "".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in requests)


class Requests(ProgramTest):
    def ask(self, *words, requests, from_file=True):
        """{id: reply}; replies without an id are under None."""
        text = lines(*requests)
        if from_file:
            self.write("requests.jsonl", text)
            result = self.run_ok(*words, "--requests", "requests.jsonl")
        else:
            result = self.run_ok(*words, "--requests", "-", text=text)
        replies = {}
        for reply in result.lines():
            self.assertNotIn(reply["id"], replies)
            replies[reply["id"]] = reply
        return replies

    def test_generate_answers_good_lines_and_reports_bad_ones(self):
        replies = self.ask("generate", MODEL, requests=[
            {"id": 1, "prompt": PROMPT}, "garbage", "", {"id": "x", "prompt": "1", "max_new_tokens": 3},
            {"id": 2, "ids": [1, 5, 99999]}, {"id": 3}, {"id": 4, "messages": [{"role": "user", "content": "x"}]},
            {"id": 5, "prompt": 5}, {"id": 6, "prompt": "a", "max_new_tokens": -1},
            {"id": 7, "prompt": PROMPT, "until": ["答え"]}, {"id": 8, "ids": []}])
        self.assertEqual(set(replies), {1, None, "x", 2, 3, 4, 5, 6, 7, 8})
        for good in (1, "x", 7):
            self.assertEqual(set(replies[good]), {"id", "ids", "text", "finish"})
        for bad in (None, 2, 3, 4, 5, 6):
            self.assertEqual(set(replies[bad]), {"id", "error"})
            self.assertIsInstance(replies[bad]["error"], str)
        self.assertEqual(replies["x"]["finish"], "length")
        self.assertEqual(len(replies["x"]["ids"]), 3)
        self.assertIn(replies[1]["finish"], ("eos", "stop"))
        self.assertNotIn("答え", replies[7]["text"])

    def test_generate_in_a_batch_is_generate_alone(self):
        many = self.ask("generate", MODEL, "--max-new-tokens", "12", requests=[
            {"id": i, "prompt": f"問題:{i}+{i * 7}は?\n答え:"} for i in range(25)])
        for i in (0, 13, 24):
            alone = self.ask("generate", MODEL, "--max-new-tokens", "12", from_file=False,
                             requests=[{"id": i, "prompt": f"問題:{i}+{i * 7}は?\n答え:"}])
            self.assertEqual(alone[i], many[i])

    def test_generate_with_ignore_eos_reports_its_work(self):
        replies = self.ask("generate", MODEL, "--ignore-eos", "--max-new-tokens", "40", "--stats", "stats.json",
                           requests=[{"id": 1, "prompt": PROMPT}])
        self.assertEqual(len(replies[1]["ids"]), 40)
        self.assertEqual(replies[1]["finish"], "length")
        stats = json.loads((self.folder / "stats.json").read_text())
        for key in ("prefill_tokens", "prefill_seconds", "decode_tokens", "decode_seconds", "decode_steps",
                    "peak_bytes"):
            self.assertGreater(stats[key], 0)

    def test_generate_prints_text_for_a_prompt_and_repeats_with_a_seed(self):
        greedy = self.run_ok("generate", MODEL, "--prompt", PROMPT).out
        self.assertIn("答えは", greedy)
        words = ("generate", MODEL, "--prompt", PROMPT, "--temperature", "1.5", "--max-new-tokens", "20")
        self.assertEqual(self.run_ok(*words, "--seed", "5").out, self.run_ok(*words, "--seed", "5").out)

    def test_generate_needs_exactly_one_thing_to_answer(self):
        self.fails(2, "generate", MODEL)
        self.fails(3, "generate", MODEL, "--requests", "missing.jsonl")
        self.assertIn("chat template", self.fails(3, "generate", MODEL, "--chat", "x").err)

    def test_score_sums_log_probabilities(self):
        replies = self.ask("score", MODEL, requests=[
            {"id": 1, "context": PROMPT, "continuation": "3+4=7"}, "x",
            {"id": 2, "context_ids": [1, 5], "continuation_ids": [7, 8, 9]},
            {"id": 3, "context_ids": [1, 5], "continuation_ids": [2000]}, {"id": 4, "context": 1, "continuation": ""}])
        for good in (1, 2):
            tokens = replies[good]["token_logprobs"]
            self.assertAlmostEqual(replies[good]["logprob"], sum(tokens), places=4)
            self.assertTrue(all(t <= 0 for t in tokens))
            self.assertIs(replies[good]["is_greedy"], False)
        self.assertEqual(len(replies[2]["token_logprobs"]), 3)
        for bad in (None, 3, 4):
            self.assertIn("error", replies[bad])

    def test_score_calls_what_generate_says_greedy(self):
        ids = self.run_ok("tokenize", MODEL, PROMPT).out.splitlines()[0].split()
        ids = [int(i) for i in ids]
        answer = self.ask("generate", MODEL, requests=[{"id": 1, "ids": ids}])[1]["ids"]
        reply = self.ask("score", MODEL, requests=[{"id": 1, "context_ids": ids, "continuation_ids": answer}])[1]
        self.assertIs(reply["is_greedy"], True)

    def test_score_of_a_text_is_its_perplexity(self):
        self.write("text.txt", "問題:3+4は?\n答え:3+4=7。答えは7です。")
        result = self.run_ok("score", MODEL, "--text", "text.txt", "--json")
        values = json.loads(result.out)
        self.assertTrue(any("perplexity" in key and 1 < value < 1024 for key, value in values.items()), values)

    def test_tokenize_goes_there_and_back(self):
        replies = self.ask("tokenize", MODEL, requests=[
            {"id": 1, "text": "問題:3+4は?", "add_special_tokens": True},
            {"id": 2, "text": "問題:3+4は?", "add_special_tokens": False}, "x",
            {"id": 3, "messages": []}, {"id": 4, "ids": [-1]}, {"id": 5}])
        self.assertEqual(replies[1]["ids"], [1] + replies[2]["ids"])
        back = self.ask("tokenize", MODEL, requests=[
            {"id": 1, "ids": replies[1]["ids"], "skip_special_tokens": True},
            {"id": 2, "ids": replies[1]["ids"], "skip_special_tokens": False}])
        self.assertEqual(back[1]["text"], "問題:3+4は?")
        self.assertIn("<s>", back[2]["text"])
        for bad in (None, 3, 4, 5):
            self.assertIn("error", replies[bad])

    def test_chat_templates_render_or_raise(self):
        model = self.copy_model("mini-ja", "chatty")
        path = model / "tokenizer_config.json"
        config = json.loads(path.read_text())
        config["chat_template"] = ("{% for m in messages %}{% if m.role == 'system' %}"
                                   "{{ raise_exception('no system') }}{% endif %}[{{ m.role }}]{{ m.content }}{% endfor %}"
                                   "{% if add_generation_prompt %}[assistant]{% endif %}")
        path.write_text(json.dumps(config))
        replies = self.ask("tokenize", "chatty", requests=[
            {"id": 1, "messages": [{"role": "user", "content": "やあ"}], "add_generation_prompt": True},
            {"id": 2, "messages": [{"role": "user", "content": "a"}], "add_generation_prompt": False},
            {"id": 3, "messages": [{"role": "system", "content": "a"}]}])
        self.assertEqual(replies[1]["text"], "[user]やあ[assistant]")
        self.assertEqual(replies[2]["text"], "[user]a")
        self.assertIn("no system", replies[3]["error"])
        self.assertTrue(self.run_ok("generate", "chatty", "--chat", "やあ", "--max-new-tokens", "4").out)

    def test_render_prints_text_or_the_place_of_the_mistake(self):
        replies = self.ask("render", requests=[
            {"id": 1, "template": "{{a}} と {{ b|upper }}", "doc": {"a": 1, "b": "x"}}, "x",
            {"id": 2, "template": "{{ missing }}", "doc": {}}, {"id": 3, "template": "\n{% if %}", "doc": {}},
            {"id": 4, "template": "{% for i in range(3) %}{{ i }}{% endfor %}\n", "doc": {}}])
        self.assertEqual(replies[1]["text"], "1 と X")
        self.assertEqual(replies[4]["text"], "012\n")
        self.assertIn("missing", replies[2]["error"])
        self.assertIn("2:", replies[3]["error"])
        self.fails(2, "render")

    def test_hostile_templates_end_with_an_error(self):
        replies = self.ask("render", requests=[
            {"id": 1, "template": "{% for i in range(1000000000) %}" * 2 + "x" + "{% endfor %}" * 2, "doc": {}},
            {"id": 2, "template": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "doc": {}},
            {"id": 3, "template": "{{ 'a' * 1000000000000 }}", "doc": {}}])
        for reply in replies.values():
            self.assertIn("error", reply)


if __name__ == "__main__":
    unittest.main()
