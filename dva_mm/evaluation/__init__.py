"""Evaluation of image retrieval: PML's metrics and Recall@K, as a calculator and for MMEngine."""

from .calculator import RetrievalCalculator
from .knn import CosineKNN
from .retrieval_metric import RetrievalMetric

__all__ = ['CosineKNN', 'RetrievalCalculator', 'RetrievalMetric']
