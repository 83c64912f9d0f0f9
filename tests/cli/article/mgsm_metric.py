import re


def process_results(doc, results):
    numbers = re.findall(r'\d+', results[0])
    answer = str(doc['answer_number'])
    return {'acc': 1.0 if numbers and numbers[-1] == answer else 0.0}
