"""`search.warm_start`: what earlier runs have found is where a search begins."""
import json
import shutil
import unittest

from search import SearchTest, genome


class WarmStart(SearchTest):
    def setUp(self):
        super().setUp()
        self.write("search.yml", genome())
        self.run_ok(*self.words("earlier"))
        self.write("warm.yml", genome().replace("seed: 3", "seed: 4, warm_start: [earlier]"))

    def generation(self, storage):
        rows = [json.loads(line) for line in self.candidates(storage).splitlines()]
        return [row["genome"] for row in rows if row["kind"] == "sample" and row["generation"] == 0]

    def test_a_search_begins_around_earlier_candidates_and_outlives_their_folder(self):
        self.write("cold.yml", genome().replace("seed: 3", "seed: 4"))
        self.run_ok(*self.words("cold", "cold.yml"))
        self.run_ok(*self.words("warm", "warm.yml"))
        self.assertNotEqual(self.generation("warm"), self.generation("cold"))
        shown = self.candidates("warm")
        shutil.rmtree(self.folder / "earlier")
        self.run_ok(*self.words("warm", "warm.yml"))
        self.assertEqual(self.candidates("warm"), shown)
        result = self.fails(3, *self.words("again", "warm.yml"))
        self.assertIn("'warm_start': earlier", result.err)
        result = self.fails(2, *self.words("warm", "cold.yml"))
        self.assertIn("search.warm_start", result.err)

    def test_other_genes_are_refused_by_name_and_the_list_can_be_corrected(self):
        text = genome(models=("mini-ja", "mini-math-b")).replace("seed: 3", "seed: 4, warm_start: [earlier]")
        self.write("other.yml", text)
        result = self.fails(2, *self.words("other", "other.yml"))
        self.assertIn("mini-math-a", result.err)
        self.assertIn("mini-math-b", result.err)
        self.write("other.yml", text.replace(", warm_start: [earlier]", ""))
        self.run_ok(*self.words("other", "other.yml"))
        self.write("linear.yml", (self.folder / "warm.yml").read_text().replace("dare_ties", "linear"))
        result = self.fails(2, *self.words("linear", "linear.yml"))
        self.assertIn("'dare_ties' where this search has 'linear'", result.err)


if __name__ == "__main__":
    unittest.main()
