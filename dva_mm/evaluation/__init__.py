"""Evaluation of image retrieval: Recall@K as a calculator and as an MMEngine metric."""

from .calculator import CosineKNN, RetrievalCalculator
from .retrieval_metric import RetrievalMetric

__all__ = ['CosineKNN', 'RetrievalCalculator', 'RetrievalMetric']
