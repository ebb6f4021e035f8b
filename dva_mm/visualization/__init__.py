from .ranking import QUERY, RIGHT, WRONG, draw_ranking, rank

__all__ = ['QUERY', 'RIGHT', 'WRONG', 'draw_ranking', 'rank']
