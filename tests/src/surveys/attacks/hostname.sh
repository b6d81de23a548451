hostname evil
