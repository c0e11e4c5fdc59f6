"""What to run where: the capacity planner, and the files of a deployment made from its plan.

Nothing here talks to a server or a store. Figures come in, sentences and files come out.
"""
