"""What the articles on Leaky ReLU say, statement by statement, put to the test."""

from leaky.claims.answer import Answer, Plot, Series, Table
from leaky.claims.experiment import Experiment, Lab
from leaky.claims.result import Claims
from leaky.claims.run import run
from leaky.claims.statement import Published, Statement

__all__ = ["Answer", "Claims", "Experiment", "Lab", "Plot", "Published", "Series", "Statement", "Table", "run"]
